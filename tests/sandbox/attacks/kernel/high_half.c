/*
 * attack: Arguments with bits above the 32 the kernel looks at, which a filter that compares all 64 takes for others.
 * expect: accepted stdout="refused\n"
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    static const unsigned long high[] = { 0, 1ul << 32, 1ul << 63, 0xffffffff00000000ul };
    const struct rlimit none = { 0, 0 };
    int won = 0;
    for (int i = 0; i < 4; i++) {
        if (syscall(SYS_setrlimit, high[i] | RLIMIT_CORE, &none) == 0 ||
            syscall(SYS_prlimit64, high[i], high[i] | RLIMIT_CORE, &none, NULL) == 0)
            won += printf("ESCAPED: limit of cores with %lx\n", high[i]);
        for (long family = 0; family < 64; family++)
            for (long kind = 1; kind < 6; kind++)
                if (family != 1 && family != 2 && family != 10 && syscall(SYS_socket, high[i] | family, kind, 0) >= 0)
                    won += printf("ESCAPED: socket of family %ld with %lx\n", family, high[i]);
        if (syscall(SYS_personality, high[i] | 0x0040000) >= 0)
            won += printf("ESCAPED: personality with %lx\n", high[i]);
        if (syscall(SYS_ioctl, 0, high[i] | 0x5412, "x") == 0 || errno != EPERM)
            won += printf("ESCAPED: TIOCSTI with %lx\n", high[i]);
        if (syscall(high[i] | SYS_mount, "none", "/tmp", "tmpfs", 0, 0) == 0)
            won += printf("ESCAPED: number with %lx\n", high[i]);
    }
    if (won == 0)
        puts("refused");
}
