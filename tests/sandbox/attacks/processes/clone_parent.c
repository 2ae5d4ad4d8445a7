/*
 * attack: Gives the box's first process children with strange end signals, and expects it to trip over them.
 * expect: accepted stdout="done\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    for (int number = 1; number < 65; number++)
        if (syscall(SYS_clone, CLONE_PARENT | number, 0, 0, 0, 0) == 0)
            _exit(number);
    usleep(50000);
    puts("done");
}
