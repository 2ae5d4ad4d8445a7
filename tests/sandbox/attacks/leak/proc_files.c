/*
 * attack: Reads /proc for figures of the host: the three files that a box has there must show its own limits and no
 * counter that moves, must not be writable, and no other file beside the processes may exist.
 * limits: {"memory_bytes": 104857600}
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const ours[] = { "/proc/cpuinfo", "/proc/meminfo", "/proc/stat" };
static const char *const others[] = {
    "buddyinfo", "bus",       "cgroups",    "cmdline",     "consoles",    "crypto",      "devices",   "diskstats",
    "dma",       "driver",    "fb",         "filesystems", "fs",          "interrupts",  "iomem",     "ioports",
    "irq",       "kallsyms",  "kcore",      "keys",        "key-users",   "kmsg",        "kpagecount", "kpageflags",
    "loadavg",   "locks",     "mdstat",     "misc",        "modules",     "mtrr",        "pagetypeinfo", "partitions",
    "pressure",  "schedstat", "scsi",       "slabinfo",    "softirqs",    "swaps",       "sys",       "sysrq-trigger",
    "sysvipc",   "timer_list", "tty",       "uptime",      "version",     "vmallocinfo", "vmstat",    "zoneinfo",
    "net",       "mounts",    "config.gz",  "cpuinfo/x",   "bootconfig",  "dynamic_debug", "acpi",    "kpagecgroup",
};
static int won;

static size_t read_all(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t len = fd < 0 ? 0 : read(fd, text, size - 1);
    text[len > 0 ? len : 0] = '\0';
    close(fd);
    return len > 0 ? (size_t)len : 0;
}

static void check_numbers(const char *path, char *text)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        long number = strtol(line + strcspn(line, " \t:") + 1, NULL, 10);
        if (strstr(path, "meminfo") != NULL && number != 0 && number != 104857600 / 1024)
            won += printf("ESCAPED: %s: %s\n", path, line);
        if (strstr(path, "stat") != NULL && number > 1)
            won += printf("ESCAPED: %s: %s\n", path, line);
        if (strncmp(line, "processor", 9) == 0 && strtol(strchr(line, ':') + 1, NULL, 10) >= processors)
            won += printf("ESCAPED: %s: %s\n", path, line);
        if (strncmp(line, "model name", 10) == 0 && strstr(line, "evalx") == NULL)
            won += printf("ESCAPED: %s: %s\n", path, line);
    }
}

int main(void)
{
    static char before[1 << 16], after[1 << 16];
    for (unsigned i = 0; i < sizeof ours / sizeof *ours; i++) {
        struct timespec a_moment = { .tv_nsec = 30000000 };
        size_t len = read_all(ours[i], before, sizeof before);
        if (len == 0)
            won += printf("%s is not there\n", ours[i]);
        char *memory = malloc(20 << 20);
        memset(memory, 1, 20 << 20);
        nanosleep(&a_moment, NULL);
        if (read_all(ours[i], after, sizeof after) != len || memcmp(before, after, len) != 0)
            won += printf("ESCAPED: %s moves\n", ours[i]);
        free(memory);
        if (open(ours[i], O_WRONLY) >= 0 || open(ours[i], O_RDWR | O_TRUNC) >= 0 || chmod(ours[i], 0666) == 0 ||
            truncate(ours[i], 0) == 0 || unlink(ours[i]) == 0 || rename(ours[i], "/tmp/x") == 0 ||
            link(ours[i], "/tmp/x") == 0)
            won += printf("ESCAPED: %s can be changed\n", ours[i]);
        check_numbers(ours[i], before);
    }
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        char path[64];
        struct stat st;
        snprintf(path, sizeof path, "/proc/%s", others[i]);
        if (lstat(path, &st) == 0 || open(path, O_RDONLY) >= 0 || open(path, O_PATH) >= 0)
            won += printf("ESCAPED: %s is there\n", path);
    }
    if (won == 0)
        puts("refused");
}
