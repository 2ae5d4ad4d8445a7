/*
 * attack: Writes to every file the kernel shows of a process, its threads and init: none may give more time, memory or
 * rights, or stay for a later run.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int won;

static void put(const char *folder, const char *file, const char *words, int is_gain)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY);
    ssize_t wrote = fd >= 0 ? write(fd, words, strlen(words)) : -1;
    if (fd >= 0)
        close(fd);
    if (wrote > 0 && is_gain)
        won += printf("ESCAPED: %s took %s\n", path, words);
}

int main(void)
{
    static const char *const folders[] = { "/proc/self", "/proc/thread-self", "/proc/1", "/proc/self/task/1" };
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
        const char *f = folders[i];
        put(f, "autogroup", "-20", 1);
        put(f, "oom_score_adj", "-1000", 1);
        put(f, "oom_adj", "-17", 1);
        put(f, "uid_map", "0 0 4294967295", 1);
        put(f, "gid_map", "0 0 4294967295", 1);
        put(f, "projid_map", "0 0 4294967295", 0); /* anybody may; such ids mean nothing outside the first namespace */
        put(f, "setgroups", "allow", 1);
        put(f, "timens_offsets", "monotonic 1 0", 1);
        put(f, "attr/exec", "unconfined", 1);
        put(f, "attr/fscreate", "unconfined", 1);
        put(f, "attr/current", "unconfined", 1);
        put(f, "make-it-fail", "1", 1);
        put(f, "fail-nth", "1", 1);
        put(f, "latency", "0", 0);
        put(f, "clear_refs", "1", 0);
        put(f, "coredump_filter", "0xff", 0);
        put(f, "sched", "0", 0);
        put(f, "timerslack_ns", "1", 0);
        put(f, "comm", "evalx", 0);
    }
    if (won == 0)
        puts("refused");
}
