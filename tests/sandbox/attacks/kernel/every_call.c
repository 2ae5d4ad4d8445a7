/*
 * attack: Every system call there is, with arguments of nonsense, in children; whatever comes of it stays in the box.
 * limits: {"cpu_time_ms": 3000, "wall_time_ms": 6000, "processes": 30}
 * expect: accepted stdout="done\n"
 */
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    static const long nonsense[] = { 0, -1, 1, 0x7fffffffffffffff, 4096 };
    for (int number = 0; number < 475; number++) {
        pid_t child = fork();
        if (child == 0) {
            close(1);
            alarm(1);
            /* Not those that would only make this one slow: pause, sleeps, reads of nothing. */
            for (int i = 0; i < 5; i++)
                if (number != SYS_pause && number != SYS_rt_sigsuspend && number != SYS_kill && number != SYS_fork &&
                    number != SYS_vfork && number != SYS_clone)
                    syscall(number, nonsense[i], nonsense[(i + 1) % 5], nonsense[(i + 2) % 5], nonsense[(i + 3) % 5], 0, 0);
            _exit(0);
        }
        for (int tries = 0; waitpid(child, NULL, WNOHANG) == 0; tries++) {
            usleep(200);
            if (tries == 50)
                kill(child, SIGKILL);
        }
    }
    puts("done");
    fflush(stdout);
    _exit(0);
}
