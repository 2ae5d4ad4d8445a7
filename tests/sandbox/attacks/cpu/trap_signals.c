/*
 * attack: Ignores every signal that can be ignored, then loops.
 * limits: {"cpu_time_ms": 250, "wall_time_ms": 5000}
 * expect: time_limit cpu<=400
 */
#include <signal.h>

int main(void)
{
    for (int number = 1; number < 65; number++)
        signal(number, SIG_IGN);
    for (volatile unsigned long i = 0;; i++)
        ;
}
