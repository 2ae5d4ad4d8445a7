/*
 * process: reads /proc/self at each scrape.  It keeps no state.
 */
#include "metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "base/cleanup.h"

/* Fields of /proc/self/stat.  Counted after the name, the start time is the 20th and the resident set the 22nd. */
struct stat_fields {
    uint64_t start_ticks; /* since boot */
    uint64_t resident_pages;
};

static bool read_stat(struct stat_fields *ret)
{
    char line[1024];
    auto_close int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof line - 1);

    if (len <= 0)
        return false;
    line[len] = '\0';
    /* The name may contain blanks and parentheses; the last parenthesis ends it. */
    const char *at = strrchr(line, ')');
    return at != NULL && sscanf(at + 1,
                                " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64
                                " %*u %" SCNu64,
                                &ret->start_ticks, &ret->resident_pages) == 2;
}

static uint64_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder's own */
}

static double now_minus_uptime(void)
{
    struct timespec wall, boot;

    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)wall.tv_sec - (double)boot.tv_sec + ((double)wall.tv_nsec - (double)boot.tv_nsec) / 1e9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int process_write(struct buf *out, struct error *err)
{
    struct stat_fields stat;
    struct rusage usage;

    if (read_stat(&stat) &&
        buf_printf(out, err,
                   "# HELP process_resident_memory_bytes Resident memory.\n"
                   "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %" PRIu64 "\n"
                   "# HELP process_start_time_seconds Start time of this process in seconds since 1970.\n"
                   "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.2f\n",
                   stat.resident_pages * (uint64_t)sysconf(_SC_PAGESIZE),
                   now_minus_uptime() + (double)stat.start_ticks / (double)sysconf(_SC_CLK_TCK)) < 0)
        return -1;
    if (getrusage(RUSAGE_SELF, &usage) == 0 &&
        buf_printf(out, err,
                   "# HELP process_cpu_seconds_total User and system CPU time.\n"
                   "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n",
                   seconds(usage.ru_utime) + seconds(usage.ru_stime)) < 0)
        return -1;
    return buf_printf(out, err,
                      "# HELP process_open_fds Open file descriptors.\n# TYPE process_open_fds gauge\n"
                      "process_open_fds %" PRIu64 "\n"
                      "# HELP evalx_build_info Version of evalx, as a label.\n# TYPE evalx_build_info gauge\n"
                      "evalx_build_info{version=\"" EVALX_VERSION "\"} 1\n",
                      open_descriptors());
}
