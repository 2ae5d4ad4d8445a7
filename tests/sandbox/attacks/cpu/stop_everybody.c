/*
 * attack: Stops its group, its session and everybody it can name; whoever watches the run must not be among them.
 * limits: {"wall_time_ms": 250}
 * expect: time_limit wall<=400
 */
#include <signal.h>
#include <unistd.h>

int main(void)
{
    kill(1, SIGSTOP);
    kill(getppid(), SIGSTOP);
    kill(-1, SIGSTOP);
    kill(0, SIGSTOP);
    pause();
}
