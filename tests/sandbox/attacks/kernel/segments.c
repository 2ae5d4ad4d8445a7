/*
 * attack: Old doors of the processor: local descriptor tables, ports, virtual 8086, personalities.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
#ifdef __x86_64__
    char table[16] = { 0 };
    if (syscall(SYS_modify_ldt, 1, table, sizeof table) == 0 || syscall(SYS_modify_ldt, 0, table, sizeof table) >= 0)
        won += printf("ESCAPED: modify_ldt\n");
    if (syscall(SYS_iopl, 3) == 0 || syscall(SYS_ioperm, 0x60, 5, 1) == 0)
        won += printf("ESCAPED: ports\n");
#endif
    static const unsigned long kinds[] = { ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, PER_LINUX32, MMAP_PAGE_ZERO, PER_BSD };
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (personality(kinds[i]) >= 0)
            won += printf("ESCAPED: personality %lx\n", kinds[i]);
    if (won == 0)
        puts("refused");
}
