/*
 * attack: Threads without end; they count as processes.
 * limits: {"processes": 20}
 * expect: accepted stdout="refused after 19\n"
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *wait_here(void *unused)
{
    pause();
    return unused;
}

int main(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    int made = 0;
    pthread_t thread;
    while (made < 1000 && pthread_create(&thread, &small, wait_here, NULL) == 0)
        made++;
    printf(made < 1000 ? "refused after %d\n" : "ESCAPED: %d threads\n", made);
    fflush(stdout);
    _exit(0);
}
