/*
 * attack: Takes back no_new_privs and the seccomp filter, and loads one that would allow more.
 * expect: accepted stdout="refused\n"
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        won += printf("ESCAPED: no_new_privs\n");
    if (prctl(PR_SET_SECCOMP, 0) == 0 || prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER)
        won += printf("ESCAPED: seccomp\n");
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { 1, &allow };
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    if (mount("none", "/tmp", "tmpfs", 0, "") == 0)
        won += printf("ESCAPED: a second filter\n");
    if (prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, 0, 0, 0) == 0)
        won += printf("ESCAPED: another exe\n");
    if (won == 0)
        puts("refused");
}
