/*
 * attack: Each process forks once and waits: a chain instead of a crowd.
 * limits: {"processes": 40}
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    for (int depth = 1; depth < 1000; depth++) {
        pid_t child = fork();
        if (child < 0) {
            puts(depth <= 40 ? "refused" : "ESCAPED: the chain is too long");
            fflush(stdout);
            _exit(0);
        }
        if (child > 0) {
            wait(NULL);
            _exit(0);
        }
    }
}
