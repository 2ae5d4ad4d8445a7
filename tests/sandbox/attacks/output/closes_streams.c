/*
 * attack: Closes its streams and goes on; that is no end of the run.
 * limits: {"wall_time_ms": 300}
 * expect: time_limit stdout="" wall>=300 wall<=450
 */
#include <unistd.h>

int main(void)
{
    for (int fd = 0; fd < 16; fd++)
        close(fd);
    for (;;)
        pause();
}
