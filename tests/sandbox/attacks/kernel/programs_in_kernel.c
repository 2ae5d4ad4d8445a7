/*
 * attack: Programs and probes in the kernel: bpf, perf_event_open, userfaultfd and its siblings.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    char zero[128] = { 0 };
    int won = 0;
    for (int command = 0; command < 40; command++)
        if (syscall(SYS_bpf, command, zero, sizeof zero) >= 0)
            won += printf("ESCAPED: bpf %d\n", command);
    struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof event };
    if (syscall(SYS_perf_event_open, &event, 0, -1, -1, 0) >= 0 || syscall(SYS_perf_event_open, &event, -1, 0, -1, 0) >= 0)
        won += printf("ESCAPED: perf\n");
    if (syscall(SYS_userfaultfd, O_CLOEXEC) >= 0 || syscall(SYS_userfaultfd, 1) >= 0)
        won += printf("ESCAPED: userfaultfd\n");
    if (won == 0)
        puts("refused");
}
