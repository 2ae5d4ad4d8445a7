/*
 * attack: Forbidden arguments whose upper half is not zero: the kernel reads an int, a filter may not.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    const unsigned long high = 0xdeadul << 32;
    if (syscall(SYS_socket, AF_NETLINK | high, SOCK_RAW, 0) >= 0)
        won += printf("ESCAPED: netlink\n");
    if (syscall(SYS_socket, AF_INET | high, SOCK_STREAM | high, 132 | high) >= 0)
        won += printf("ESCAPED: sctp\n");
    if (syscall(SYS_personality, 0x0040000 | high) >= 0 && (syscall(SYS_personality, 0xffffffff) & 0x0040000))
        won += printf("ESCAPED: personality\n");
    if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD | high, 0, 0, 0, 0) >= 0)
        won += printf("ESCAPED: clone\n");
    if (syscall(SYS_prctl, 62 | high, 1, 0, 0, 0) == 0) /* PR_SCHED_CORE */
        won += printf("ESCAPED: prctl\n");
    if (syscall(SYS_prlimit64, 1 | high, RLIMIT_NOFILE, NULL, &(struct rlimit){ 0 }) == 0)
        won += printf("ESCAPED: limits of init\n");
    if (won == 0)
        puts("refused");
}
