/*
 * attack: Sleeps past its wall limit without using the processor.
 * limits: {"cpu_time_ms": 1000, "wall_time_ms": 300}
 * expect: time_limit wall>=300 wall<=450 cpu<=100
 */
#include <unistd.h>

int main(void)
{
    sleep(60);
}
