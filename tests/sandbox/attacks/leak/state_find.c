/*
 * attack: Looks whether the state of a process before it has reached it.
 * after: state_leave.c
 * copies: 4
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    char path[200];
    cpu_set_t mine;
    sigset_t mask;
    struct rlimit files;
    if (umask(022) != 022)
        won += printf("ESCAPED: umask\n");
    errno = 0;
    if (getpriority(PRIO_PROCESS, 0) != @NICENESS@)
        won += printf("ESCAPED: priority\n");
    sched_getaffinity(0, sizeof mine, &mine);
    if (CPU_COUNT(&mine) < sysconf(_SC_NPROCESSORS_ONLN))
        won += printf("ESCAPED: affinity\n");
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < 32; number++)
        if (sigismember(&mask, number) == 1 || (number != SIGKILL && number != SIGSTOP && signal(number, SIG_DFL) != SIG_DFL))
            won += printf("ESCAPED: signal %d\n", number);
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 64 || prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) > 100000)
        won += printf("ESCAPED: limits\n");
    if (getcwd(path, sizeof path) == NULL || strcmp(path, "/box") != 0)
        won += printf("ESCAPED: folder\n");
    if (won == 0)
        puts("refused");
}
