/*
 * attack: Eight threads, each below the limit by itself; the limit is for all of them together.
 * limits: {"cpu_time_ms": 300, "wall_time_ms": 5000}
 * expect: time_limit cpu>=300 cpu<=480
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static void *burn(void *unused)
{
    (void)unused;
    struct timespec now;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while (now.tv_sec * 1000 + now.tv_nsec / 1000000 < 200l * @SLOW@);
    return NULL;
}

int main(void)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, burn, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}
