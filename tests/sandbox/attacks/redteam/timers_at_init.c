/*
 * attack: Timers, robust lists and exit signals that are aimed at init.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGKILL };
    event._sigev_un._tid = 1;
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
        won += printf("ESCAPED: a timer\n");
    void *head;
    size_t len;
    if (syscall(SYS_get_robust_list, 1, &head, &len) == 0)
        won += printf("ESCAPED: init's robust list\n");
    if (fork() == 0) {
        if (syscall(SYS_clone, CLONE_PARENT | SIGKILL, 0, 0, 0, 0) == 0)
            _exit(0);
        _exit(0);
    }
    usleep(20000);
    if (kill(1, 0) < 0)
        won += printf("ESCAPED: init is gone\n");
    if (won == 0)
        puts("refused");
}
