/*
 * attack: The machine itself: modules, another kernel, reboot, clocks, names, swap, accounting, the kernel's log.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    char bytes[512] = { 0 };
    struct timespec when = { .tv_sec = 1 };
    struct timex adjust = { .modes = ADJ_FREQUENCY };
    int won = 0;
    if (syscall(SYS_init_module, bytes, sizeof bytes, "") == 0 || syscall(SYS_finit_module, 0, "", 0) == 0 ||
        syscall(SYS_delete_module, "x", 0) == 0)
        won += printf("ESCAPED: modules\n");
    if (syscall(SYS_kexec_load, 0, 0, 0, 0) == 0 || syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0) == 0)
        won += printf("ESCAPED: reboot\n");
    if (clock_settime(CLOCK_REALTIME, &when) == 0 || adjtimex(&adjust) >= 0 || settimeofday(&(struct timeval){ 1, 0 }, NULL) == 0)
        won += printf("ESCAPED: clocks\n");
    if (sethostname("owned", 5) == 0 || setdomainname("owned", 5) == 0)
        won += printf("ESCAPED: names\n");
    if (syscall(SYS_swapon, "/tmp/x", 0) == 0 || syscall(SYS_acct, "/tmp/x") == 0 || syscall(SYS_quotactl, 0, 0, 0, 0) == 0)
        won += printf("ESCAPED: swap, accounting, quota\n");
    if (syscall(SYS_syslog, 3, bytes, sizeof bytes) >= 0 || syscall(SYS_vhangup) == 0)
        won += printf("ESCAPED: the kernel's log\n");
    if (won == 0)
        puts("refused");
}
