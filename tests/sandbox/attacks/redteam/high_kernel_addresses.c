/*
 * attack: Pointers into the kernel's half, and calls through the page of old system calls: no answer may come from there.
 * needs: x86_64
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static sigjmp_buf back;

static void on_fault(int number)
{
    siglongjmp(back, number);
}

int main(void)
{
    static const unsigned long at[] = { 0xffffffff81000000, 0xffff888000000000, 0xffffffffff5ff000, 0xfffffe0000000000 };
    int won = 0, ends[2];
    struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    if (pipe(ends) != 0)
        return 1;
    for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
        struct iovec part = { (void *)at[i], 64 };
        if (write(ends[1], (void *)at[i], 64) > 0 || vmsplice(ends[1], &part, 1, 0) > 0)
            won += printf("ESCAPED: %lx was read\n", at[i]);
        if (mmap((void *)at[i], 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
            won += printf("ESCAPED: %lx was mapped\n", at[i]);
        if (sigsetjmp(back, 1) == 0) {
            volatile unsigned char byte = *(volatile unsigned char *)at[i];
            won += printf("ESCAPED: %lx holds %d\n", at[i], byte);
        }
    }
    if (sigsetjmp(back, 1) == 0) {
        volatile unsigned char byte = *(volatile unsigned char *)0xffffffffff600000; /* executable at most */
        (void)byte;
    }
    if (prctl(PR_SET_MM, PR_SET_MM_START_BRK, 0xffff888000000000, 0, 0) == 0)
        won += printf("ESCAPED: the map of memory\n");
    if (won == 0)
        puts("refused");
}
