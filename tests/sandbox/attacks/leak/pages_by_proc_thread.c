/*
 * attack: As pages_by_proc.c, from a thread, about a thread, and from a thread that executes the program again and so
 * becomes the first process.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[] = { "pagemap", "smaps",   "smaps_rollup", "numa_maps", "clear_refs", "net/sockstat",
                                     "sched",   "uid_map", "mem",          "maps",      "stat" };
/* The last two reveal nothing, but show that the rules belong to the files of the first process only. */
#define OF_OTHERS 9

static void try_below(const char *folder, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        char path[96];
        snprintf(path, sizeof path, "/proc/%s/%s", folder, names[i]);
        if (open(path, O_RDONLY) >= 0 || open(path, O_WRONLY) >= 0)
            printf("ESCAPED: %s can be opened\n", path);
    }
}

static void *thread(void *again)
{
    char own[64], *const words[] = { "again", "again", NULL }, *const none[] = { NULL };
    try_below("self", OF_OTHERS);
    try_below("thread-self", OF_OTHERS + 2);
    snprintf(own, sizeof own, "self/task/%ld", syscall(SYS_gettid));
    try_below(own, OF_OTHERS + 2);
    fflush(stdout);
    if (again != NULL)
        execve("/proc/self/exe", words, none);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t made;
    pthread_create(&made, NULL, thread, argc == 1 ? argv : NULL);
    pthread_join(made, NULL);
    try_below("self", OF_OTHERS);
    puts("refused");
}
