/*
 * attack: Kills everybody it may kill; the run's watcher must not be among them.
 * expect: accepted stdout="still watched\n"
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    for (int number = 1; number < 65; number++)
        if (number != SIGSTOP && number != SIGCONT)
            kill(-1, number);
    puts("still watched");
}
