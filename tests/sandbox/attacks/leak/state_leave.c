/*
 * attack: Changes all that a process hands to what runs after it: mask, priority, affinity, name, timers, folder, limits.
 * part: yes
 * expect: accepted stdout="changed\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

int main(void)
{
    cpu_set_t one;
    sigset_t all;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sigfillset(&all);
    umask(0);
    setpriority(PRIO_PROCESS, 0, 19);
    setpriority(PRIO_USER, 0, 19);
    sched_setaffinity(0, sizeof one, &one);
    sched_setaffinity(1, sizeof one, &one);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGTERM, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 8, 8 });
    prctl(PR_SET_NAME, "evalx-mark", 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1000000000, 0, 0, 0);
    (void)!chdir("/usr");
    puts("changed");
}
