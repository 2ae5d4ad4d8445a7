/*
 * attack: io_uring, which does by queue what the filter forbids by call.
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    char parameters[256] = { 0 };
    int won = 0;
    for (unsigned entries = 1; entries <= 64; entries *= 2)
        if (syscall(SYS_io_uring_setup, entries, parameters) >= 0)
            won += printf("ESCAPED: setup\n");
    if (syscall(SYS_io_uring_register, -1, 0, 0, 0) >= 0 || syscall(SYS_io_uring_enter, 0, 1, 0, 0, 0) >= 0)
        won += printf("ESCAPED: register or enter\n");
    if (won == 0)
        puts("refused");
}
