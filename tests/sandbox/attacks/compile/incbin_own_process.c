/*
 * attack: Takes in the compiler's own environment and arguments; there is nothing of the service in them.
 * expect: accepted stdout="refused\n"
 * expect: compile_error
 */
#include <stdio.h>
#include <string.h>

__asm__(".data\nstolen: .incbin \"/proc/self/environ\"\nend: .byte 0\n.text\n");
extern char stolen[], end[];

int main(void)
{
    for (char *at = stolen; at < end; at += strlen(at) + 1)
        if (strstr(at, "EVALX") != NULL || strstr(at, "REDIS") != NULL || strstr(at, "@CANARY@") != NULL) {
            puts("ESCAPED");
            return 0;
        }
    puts("refused");
}
