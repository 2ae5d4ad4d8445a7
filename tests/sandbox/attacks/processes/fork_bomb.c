/*
 * attack: Every process forks for ever and ignores that it is refused.
 * limits: {"cpu_time_ms": 300, "wall_time_ms": 2000, "processes": 32}
 * expect: time_limit stdout="" cpu<=600
 */
#include <unistd.h>

int main(void)
{
    for (;;)
        fork();
}
