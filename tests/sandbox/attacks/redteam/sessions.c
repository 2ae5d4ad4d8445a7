/*
 * attack: A session for each process, to get a share of the processor for each; the clock of all is one.
 * limits: {"cpu_time_ms": 500}
 * expect: time_limit cpu>=500 cpu<=900
 */
#define _GNU_SOURCE
#include <unistd.h>

int main(void)
{
    for (int i = 0; i < 30; i++)
        if (fork() == 0) {
            (void)setsid();
            for (;;)
                ;
        }
    for (;;)
        ;
}
