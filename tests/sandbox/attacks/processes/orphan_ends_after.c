/*
 * attack: A grandchild ends badly long after the program ended well; the verdict is the program's.
 * expect: accepted stdout="well\n"
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    if (fork() == 0) {
        if (fork() == 0) {
            usleep(2000);
            abort();
        }
        _exit(9);
    }
    puts("well");
}
