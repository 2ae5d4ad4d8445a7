/*
 * attack: Filters of its own and merged pages, asked for with bits above the 32 that the kernel reads.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    static const unsigned long high[] = { 0, 1ul << 32, 1ul << 63, 0xffffffff00000000ul };
    struct sock_filter pass[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog program = { .len = 1, .filter = pass };
    int won = 0, line = socket(AF_UNIX, SOCK_DGRAM, 0);
    void *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4; i++) {
        if (syscall(SYS_prctl, high[i] | PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
            won += printf("ESCAPED: a filter with %lx\n", high[i]);
        if (syscall(SYS_setsockopt, line, high[i] | SOL_SOCKET, high[i] | SO_ATTACH_FILTER, &program,
                    sizeof program) == 0)
            won += printf("ESCAPED: a socket's filter with %lx\n", high[i]);
        if (syscall(SYS_madvise, pages, 8192, high[i] | MADV_MERGEABLE) == 0)
            won += printf("ESCAPED: merging with %lx\n", high[i]);
    }
    if (won == 0)
        puts("refused");
}
