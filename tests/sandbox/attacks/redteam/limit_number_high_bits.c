/*
 * attack: The limit of cores by a number whose upper half a filter of 64 bits sees and the kernel does not.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    const struct rlimit none = { 0, 0 };
    for (unsigned long high = 1; high != 0; high <<= 3) {
        unsigned long number = RLIMIT_CORE | high << 32;
        if (syscall(SYS_prlimit64, 0, number, &none, NULL) == 0 || syscall(SYS_setrlimit, number, &none) == 0)
            won += printf("ESCAPED: set by %lx\n", number);
    }
    struct rlimit now;
    if (getrlimit(RLIMIT_CORE, &now) < 0 || now.rlim_cur != 1)
        won += printf("ESCAPED: the limit is %lu\n", (unsigned long)now.rlim_cur);
    if (won == 0)
        puts("refused");
}
