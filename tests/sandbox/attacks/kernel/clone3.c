/*
 * attack: clone3, whose flags stand in memory where no filter sees them: namespaces, chosen process ids, other cgroups.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    struct clone_args args = { .flags = CLONE_NEWUSER | CLONE_NEWNS, .exit_signal = SIGCHLD };
    long child = syscall(SYS_clone3, &args, sizeof args);
    if (child == 0)
        _exit(0);
    puts(child < 0 && errno == ENOSYS ? "refused" : "ESCAPED");
}
