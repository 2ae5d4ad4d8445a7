/*
 * attack: The same by clone, with flags above the low half of the register, which a sloppy filter does not compare.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    static const unsigned long kinds[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC,
                                           CLONE_NEWUTS, CLONE_NEWCGROUP };
    static const unsigned long high[] = { 0, 1ul << 32, 1ul << 63, 0xffffffff00000000ul };
    int won = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (unsigned k = 0; k < sizeof high / sizeof *high; k++) {
            long child = syscall(SYS_clone, kinds[i] | CLONE_NEWUSER | high[k] | SIGCHLD, 0, 0, 0, 0);
            if (child == 0)
                _exit(0);
            if (child > 0)
                won += printf("ESCAPED: %lx\n", kinds[i] | high[k]);
        }
    while (wait(NULL) > 0)
        ;
    if (won == 0)
        puts("refused");
}
