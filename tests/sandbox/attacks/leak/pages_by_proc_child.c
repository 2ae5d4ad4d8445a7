/*
 * attack: As pages_by_proc.c, from children of the first process: forked, executed, and orphaned.  A parent also asks
 * about its child, and a child about its parent.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = { "pagemap",      "smaps", "smaps_rollup", "numa_maps", "clear_refs",
                                     "net/sockstat", "sched", "uid_map",      "mem" };

static void try_process(const char *who)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s/%s", who, names[i]);
        if (open(path, O_RDONLY) >= 0 || open(path, O_WRONLY) >= 0) {
            printf("ESCAPED: %s can be opened by process %d\n", path, (int)getpid());
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    char number[16];
    (void)argv;
    try_process("self");
    snprintf(number, sizeof number, "%d", (int)getppid());
    try_process(number);
    if (argc > 1)
        return 0;
    pid_t child = fork();
    if (child == 0) {
        try_process("self");
        try_process("2");
        if (fork() == 0) {
            usleep(50000);
            try_process("self"); /* an orphan by now */
            _exit(0);
        }
        execl("/proc/self/exe", "again", "child", NULL);
        _exit(1);
    }
    snprintf(number, sizeof number, "%d", (int)child);
    try_process(number);
    waitpid(child, NULL, 0);
    usleep(150000);
    puts("refused");
}
