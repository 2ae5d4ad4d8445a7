/*
 * attack: Children that end and are never waited for; the dead count too.
 * limits: {"processes": 20}
 * expect: accepted stdout="refused after 19\n"
 */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    int made = 0;
    for (; made < 500; made++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0)
            break;
    }
    printf(made < 500 ? "refused after %d\n" : "ESCAPED: %d zombies\n", made);
}
