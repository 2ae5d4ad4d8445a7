/*
 * attack: Stops itself again and again; a stopped program is ended like any other.
 * limits: {"wall_time_ms": 250}
 * expect: time_limit wall<=400
 */
#include <signal.h>

int main(void)
{
    for (;;)
        raise(SIGSTOP);
}
