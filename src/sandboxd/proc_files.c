/* proc_files: see the header. */
#include "sandboxd/proc_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FOLDER "/.proc"
#define NAMES_AT (sizeof "/proc" - 1) /* of "/cpuinfo" in "/proc/cpuinfo" */

enum { CPUINFO, MEMINFO, STAT };
const char *const proc_files[PROC_FILES] = { "/proc/cpuinfo", "/proc/meminfo", "/proc/stat" };

static int write_cpuinfo(int file, int processors)
{
    for (int i = 0; i < processors; i++)
        if (dprintf(file,
                    "processor\t: %d\nvendor_id\t: evalx\nmodel name\t: evalx\ncpu MHz\t\t: 1000.000\n"
                    "cache size\t: 1024 KB\nphysical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\ncpu cores\t: %d\n"
                    "bogomips\t: 2000.00\n\n",
                    i, processors, i, processors) < 0)
            return -1;
    return 0;
}

static int write_stat(int file, int processors)
{
    int result = dprintf(file, "cpu  0 0 0 0 0 0 0 0 0 0\n");
    for (int i = 0; i < processors && result >= 0; i++)
        result = dprintf(file, "cpu%d 0 0 0 0 0 0 0 0 0 0\n", i);
    if (result >= 0)
        result = dprintf(file, "intr 0\nctxt 0\nbtime 0\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n");
    return result < 0 ? -1 : 0;
}

/* Through a mount of its own, because the root's cannot become read-only while a file in it is open for writing. */
static int open_meminfo(const char *root, int *ret)
{
    auto_close int tree = open_tree(AT_FDCWD, root, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    *ret = tree < 0 ? -1 : openat(tree, ".proc/meminfo", O_WRONLY | O_CLOEXEC);
    return *ret < 0 ? errno : 0;
}

int proc_files_make(const char *root, int *ret_meminfo)
{
    char path[64];
    cpu_set_t all;
    int files[PROC_FILES], os = 0, processors = sched_getaffinity(0, sizeof all, &all) < 0 ? 1 : CPU_COUNT(&all);
    (void)snprintf(path, sizeof path, "%s" FOLDER, root);
    if (mkdir(path, 0700) < 0)
        return errno;
    for (size_t i = 0; i < PROC_FILES; i++) {
        (void)snprintf(path, sizeof path, "%s" FOLDER "%s", root, proc_files[i] + NAMES_AT);
        files[i] = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        if (files[i] < 0)
            os = errno;
    }
    if (os == 0 && (write_cpuinfo(files[CPUINFO], processors) < 0 || write_stat(files[STAT], processors) < 0))
        os = errno;
    for (size_t i = 0; i < PROC_FILES; i++)
        cleanup_close(&files[i]);
    return os != 0 ? os : open_meminfo(root, ret_meminfo);
}

void proc_files_set_memory(int meminfo, uint64_t bytes)
{
    uint64_t kb = bytes >> 10;
    char text[512];
    /* Every text has the same length, so it replaces the one before. */
    int len = snprintf(text, sizeof text,
                       "MemTotal:       %20" PRIu64 " kB\nMemFree:        %20" PRIu64 " kB\nMemAvailable:   %20" PRIu64
                       " kB\nBuffers:        %20d kB\nCached:         %20d kB\nSwapCached:     %20d kB\n"
                       "SwapTotal:      %20d kB\nSwapFree:       %20d kB\nShmem:          %20d kB\n"
                       "SReclaimable:   %20d kB\n",
                       kb, kb, kb, 0, 0, 0, 0, 0, 0, 0);
    (void)!pwrite(meminfo, text, (size_t)len, 0);
}

int proc_files_mount(void)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char from[64];
    if (mount("proc", "/proc", "proc", flags, "hidepid=invisible") < 0)
        return errno;
    for (size_t i = 0; i < PROC_FILES; i++) {
        (void)snprintf(from, sizeof from, FOLDER "%s", proc_files[i] + NAMES_AT);
        if (mount(from, proc_files[i], NULL, MS_BIND, NULL) < 0)
            return errno;
    }
    /*
     * From now on only processes are found, and only the caller's own (Linux 5.8): no /proc/sys, no figures of the
     * host.  A name with a mount on it stays in the cache of names.
     */
    if (mount(NULL, "/proc", NULL, MS_REMOUNT | flags, "subset=pid,hidepid=invisible") < 0)
        return errno;
    return access("/proc/sys", F_OK) == 0 ? ENOTSUP : 0;
}
