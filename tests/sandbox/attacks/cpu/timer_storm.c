/*
 * attack: An interval timer of a microsecond, whose handler does nothing, as often as the kernel lets it.
 * limits: {"cpu_time_ms": 250, "wall_time_ms": 3000}
 * expect: time_limit
 */
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

static void handler(int number)
{
    (void)number;
}

int main(void)
{
    const struct itimerval often = { { 0, 1 }, { 0, 1 } };
    signal(SIGALRM, handler);
    setitimer(ITIMER_REAL, &often, NULL);
    for (;;)
        pause();
}
