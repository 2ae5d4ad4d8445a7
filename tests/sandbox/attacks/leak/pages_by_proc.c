/*
 * attack: Asks /proc which pages of the image's files others have mapped, which files they use, and what the kernel
 * knows about this process beyond that, by every path to the files of the first process and of init.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Each reveals facts about others, about earlier runs, or about the host. */
static const char *const names[] = {
    "pagemap",       "smaps",           "smaps_rollup", "numa_maps",      "clear_refs",   "net/tcp",  "net/sockstat",
    "net/snmp",      "net/unix",        "sched",        "schedstat",      "autogroup",    "wchan",    "stack",
    "syscall",       "uid_map",         "gid_map",      "timerslack_ns",  "oom_score",    "oom_adj",  "io",
    "oom_score_adj", "mountstats",      "mem",          "timens_offsets", "attr/current", "ksm_stat", "cpuset",
    "sessionid",     "coredump_filter", "personality",  "timers",
};
static int won;

static void try_at(int folder, const char *name, const char *by)
{
    static const int ways[] = { O_RDONLY, O_WRONLY, O_RDWR };
    for (unsigned i = 0; i < 3; i++) {
        int fd = openat(folder, name, ways[i]);
        if (fd < 0)
            continue;
        won += printf("ESCAPED: %s by %s can be opened\n", name, by);
        close(fd);
    }
}

static void try_below(const char *path)
{
    char by_descriptor[64];
    int folder = open(path, O_RDONLY | O_DIRECTORY), place = open(path, O_PATH | O_DIRECTORY);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char whole[128];
        snprintf(whole, sizeof whole, "%s/%s", path, names[i]);
        try_at(AT_FDCWD, whole, "its path");
        if (folder >= 0)
            try_at(folder, names[i], "a descriptor of its folder");
        if (place >= 0)
            try_at(place, names[i], "an O_PATH descriptor of its folder");
        snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d/%s", place, names[i]);
        try_at(AT_FDCWD, by_descriptor, "/proc/self/fd");
        int file = openat(folder, names[i], O_PATH); /* allowed: it opens nothing */
        snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d", file);
        if (file >= 0)
            try_at(AT_FDCWD, by_descriptor, "opening an O_PATH descriptor again");
        close(file);
        unlink("/tmp/link");
        if (symlink(whole, "/tmp/link") == 0)
            try_at(AT_FDCWD, "/tmp/link", "a symbolic link");
        if (link(whole, "/tmp/hard") == 0)
            won += printf("ESCAPED: %s was linked\n", whole);
    }
    close(folder);
    close(place);
}

int main(void)
{
    static const char *const folders[] = { "/proc/self",
                                           "/proc/thread-self",
                                           "/proc/2",
                                           "/proc/2/task/2",
                                           "/proc/self/task/2",
                                           "/proc/1",
                                           "/proc/self/root/proc/self",
                                           "/proc/self/cwd/../proc/2",
                                           "/proc/1/task/1" };
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++)
        try_below(folders[i]);
    if (chdir("/proc/self") == 0)
        try_below(".");
    if (won == 0)
        puts("refused");
}
