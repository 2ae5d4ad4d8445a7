/*
 * attack: Has its system calls come back to itself first (PR_SET_SYSCALL_USER_DISPATCH), and makes them from there: the
 * filter must see them all the same, and a SIGSYS of its own is no refused call of the box.
 * needs: x86_64
 * expect: accepted stdout="caught 1\nrefused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

static volatile char selector; /* 0: allow, 1: block */
static volatile int caught;
static volatile long answer;

static long call(long number, long a, long b)
{
    long result;
    __asm__ volatile("xor %%r10d, %%r10d\n xor %%r8d, %%r8d\n syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(0)
                     : "rcx", "r11", "r10", "r8", "memory");
    return result;
}

static void on_sigsys(int number)
{
    (void)number;
    selector = 0;
    caught++;
    answer = call(SYS_unshare, 0x10000000, 0); /* a user namespace */
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_sigsys };
    sigaction(SIGSYS, &action, NULL);
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector) == 0) {
        selector = 1;
        (void)call(SYS_getppid, 0, 0);
    } else {
        on_sigsys(0); /* a kernel without it */
    }
    printf("caught %d\n", caught);
    puts(answer < 0 && call(SYS_chroot, (long)"/", 0) < 0 ? "refused" : "ESCAPED: a namespace of its own");
}
