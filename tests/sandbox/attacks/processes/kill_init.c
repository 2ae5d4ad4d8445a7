/*
 * attack: Sends every signal to its parent, the first process of the box.
 * expect: accepted stdout="refused\n"
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    for (int round = 0; round < 100; round++)
        for (int number = 1; number < 65; number++) {
            kill(1, number);
            kill(getppid(), number);
        }
    usleep(50000);
    puts(kill(1, 0) == 0 || getppid() == 1 ? "refused" : "ESCAPED: init is gone");
}
