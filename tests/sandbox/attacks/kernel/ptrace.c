/*
 * attack: Traces others and itself.
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)
        won += printf("ESCAPED: traceme\n");
    if (ptrace(PTRACE_ATTACH, 1, 0, 0) == 0 || ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0)
        won += printf("ESCAPED: init\n");
    if (ptrace(PTRACE_ATTACH, @WORKER_PID@, 0, 0) == 0)
        won += printf("ESCAPED: worker\n");
    if (won == 0)
        puts("refused");
}
