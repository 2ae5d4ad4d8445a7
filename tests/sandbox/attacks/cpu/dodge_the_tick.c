/*
 * attack: Burns in bursts far shorter than a timer tick, to hide from sampled accounting.
 * limits: {"cpu_time_ms": 150, "wall_time_ms": 6000}
 * expect: time_limit cpu>=150 cpu<=300
 */
#include <time.h>

static long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(void)
{
    for (;;) {
        long begun = now_ns();
        while (now_ns() - begun < 400000)
            ;
        nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
    }
}
