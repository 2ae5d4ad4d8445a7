/* cgroup_file: see the header.  All file names come from this program; no input of a run is part of a path. */
#include "sandboxd/cgroup_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int cgroup_file_open(int dir, const char *name, int flags, struct error *err)
{
    int fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, errno, "open cgroup file %s", name);
    return fd;
}

int cgroup_file_write_text(int dir, const char *name, const char *text, struct error *err)
{
    auto_close int fd = cgroup_file_open(dir, name, O_WRONLY, err);
    if (fd < 0)
        return -1;
    if (write(fd, text, strlen(text)) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "write %s to cgroup file %s", text, name);
    return 0;
}

int cgroup_file_write(int dir, const char *name, uint64_t value, struct error *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return cgroup_file_write_text(dir, name, text, err);
}

int cgroup_file_read(int dir, const char *name, char *into, size_t size)
{
    auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, into, size - 1);
    if (got < 0)
        return -1;
    into[got] = '\0';
    return 0;
}

static uint64_t number_at(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    if (strncmp(at, "max", 3) == 0)
        return UINT64_MAX;
    uint64_t value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

static uint64_t number_of(const char *content, const char *key)
{
    if (key == NULL)
        return number_at(content);
    size_t len = strlen(key);
    for (const char *line = content; line != NULL && *line != '\0';) {
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            return number_at(line + len);
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return 0;
}

uint64_t cgroup_fd_number(int fd, const char *key)
{
    char content[2048];
    ssize_t got = pread(fd, content, sizeof content - 1, 0);
    if (got <= 0)
        return 0;
    content[got] = '\0';
    return number_of(content, key);
}

/*
 * Calls `act` for the processes in dir/cgroup.procs, for this one and process 1 only if `with_us`.  Returns how many.
 */
static unsigned for_each_member(int dir, bool with_us, void (*act)(pid_t pid, int context), int context)
{
    auto_close int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    unsigned found = 0;
    char bytes[4096];
    uint64_t pid = 0;
    bool in_number = false;
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] >= '0' && bytes[i] <= '9') {
                pid = pid * 10 + (uint64_t)(bytes[i] - '0');
                in_number = true;
            } else if (in_number) {
                /* 0: a process of another pid namespace, which has no number here */
                if (pid > 0 && (with_us || (pid > 1 && (pid_t)pid != getpid()))) {
                    act((pid_t)pid, context);
                    found++;
                }
                pid = 0;
                in_number = false;
            }
        }
    }
    return found;
}

static void kill_one(pid_t pid, int context)
{
    (void)context;
    (void)kill(pid, SIGKILL);
}

unsigned cgroup_kill_members(int dir)
{
    return for_each_member(dir, false, kill_one, 0);
}

static void move_one(pid_t pid, int to)
{
    struct error ignored; /* it may have ended */
    (void)cgroup_file_write(to, "cgroup.procs", (uint64_t)pid, &ignored);
}

void cgroup_move_members(int dir, int to)
{
    (void)for_each_member(dir, true, move_one, to);
}

unsigned cgroup_clear_children(int dir, const char *except)
{
    int listing = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listing < 0 ? NULL : fdopendir(listing);
    if (entries == NULL) {
        cleanup_close(&listing);
        return 1;
    }
    unsigned remaining = 0;
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
            (except != NULL && strcmp(entry->d_name, except) == 0))
            continue;
        auto_close int child = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0) {
            remaining += cgroup_clear_children(child, NULL);
            (void)cgroup_kill_members(child);
        }
        if (unlinkat(dir, entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            remaining++;
    }
    (void)closedir(entries);
    return remaining;
}
