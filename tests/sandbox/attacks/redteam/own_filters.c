/*
 * attack: Filters of its own, which the kernel compiles into memory that no group is charged for.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    static struct sock_filter code[1000];
    for (int i = 0; i < 999; i++)
        code[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    code[999] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = { 1000, code };
    for (int i = 0; i < 100; i++) {
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ||
            setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0)
            won += printf("ESCAPED: a socket's filter\n");
    }
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
        won += printf("ESCAPED: seccomp\n");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0)
        won += printf("ESCAPED: prctl\n");
    if (won == 0)
        puts("refused");
}
