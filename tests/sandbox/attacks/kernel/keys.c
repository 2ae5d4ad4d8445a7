/*
 * attack: The kernel's key rings, which outlive processes and know users of the host.
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    static const int rings[] = { -1, -2, -3, -4, -5, -6, -7, -8 };
    for (int i = 0; i < 8; i++)
        if (syscall(SYS_add_key, "user", "evalx-attack", "x", 1, rings[i]) >= 0)
            won += printf("ESCAPED: add_key to %d\n", rings[i]);
    for (int operation = 0; operation < 32; operation++)
        if (syscall(SYS_keyctl, operation, -4, 0, 0, 0) >= 0)
            won += printf("ESCAPED: keyctl %d\n", operation);
    if (syscall(SYS_request_key, "user", "evalx-attack", NULL, -4) >= 0)
        won += printf("ESCAPED: request_key\n");
    if (won == 0)
        puts("refused");
}
