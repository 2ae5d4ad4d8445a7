/*
 * attack: Eight children that each burn less than the limit, one after the other, in processes of their own.
 * limits: {"cpu_time_ms": 300, "wall_time_ms": 5000}
 * expect: time_limit cpu>=300 cpu<=450
 */
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            while (clock() < 150l * @SLOW@ * CLOCKS_PER_SEC / 1000)
                ;
            _exit(0);
        }
        wait(NULL);
    }
}
