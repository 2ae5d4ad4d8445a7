/*
 * probe: see the header.
 *
 * Each check is a function that returns true, or writes what it saw and returns false.  The probe is alone in its
 * process, so it may use libc.  Its only large allocation is the one that the memory controller must count.
 */
#include "sandboxd/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/protocol.h"
#include "sandboxd/exec_cache.h"

#define UID_INSIDE 1000u
#define SEEN_BYTES 200

/* Writes what was seen.  Returns false. */
__attribute__((format(printf, 2, 3))) static bool saw(char seen[SEEN_BYTES], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(seen, SEEN_BYTES, fmt, args);
    va_end(args);
    return false;
}

static bool user(char seen[SEEN_BYTES])
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    (void)getresuid(&real, &effective, &saved);
    (void)getresgid(&real_group, &effective_group, &saved_group);
    if (real != UID_INSIDE || effective != UID_INSIDE || saved != UID_INSIDE)
        return saw(seen, "uids %u %u %u", real, effective, saved);
    if (real_group != UID_INSIDE || effective_group != UID_INSIDE || saved_group != UID_INSIDE)
        return saw(seen, "gids %u %u %u", real_group, effective_group, saved_group);
    gid_t group;
    int groups = getgroups(1, &group);
    return groups == 0 || (groups == 1 && group == UID_INSIDE) ? true : saw(seen, "%d groups", groups);
}

/*
 * One id, mapped to a different one outside, which is not root.  If Landlock hides the map: root's files do not belong
 * to the own id.
 */
static bool user_namespace(char seen[SEEN_BYTES])
{
    struct stat root;
    FILE *map = fopen("/proc/self/uid_map", "re");
    if (map == NULL && errno == EACCES && stat("/", &root) == 0)
        return root.st_uid != UID_INSIDE && root.st_uid != 0 ? true : saw(seen, "/ belongs to %u", root.st_uid);
    if (map == NULL)
        return saw(seen, "uid_map: %s", strerror(errno));
    unsigned long inside = 0, outside = 0, count = 0;
    int fields = fscanf(map, "%lu %lu %lu", &inside, &outside, &count);
    (void)fclose(map);
    bool passes = fields == 3 && inside == UID_INSIDE && count == 1 && outside != 0 && outside != inside;
    return passes ? true : saw(seen, "uid_map %lu %lu %lu", inside, outside, count);
}

static bool capabilities(char seen[SEEN_BYTES])
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = { { 0 }, { 0 } };
    if (syscall(SYS_capget, &head, sets) < 0)
        return saw(seen, "capget: %s", strerror(errno));
    for (int i = 0; i < 2; i++)
        if ((sets[i].permitted | sets[i].effective | sets[i].inheritable) != 0)
            return saw(seen, "permitted %08x, effective %08x, inheritable %08x", sets[i].permitted, sets[i].effective,
                       sets[i].inheritable);
    for (int cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_READ, cap) == 1 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
            return saw(seen, "capability %d can be gained", cap);
    return true;
}

static bool no_new_privileges(char seen[SEEN_BYTES])
{
    int value = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    return value == 1 ? true : saw(seen, "%d", value);
}

static bool filter(char seen[SEEN_BYTES])
{
    int mode = prctl(PR_GET_SECCOMP);
    return mode == SECCOMP_MODE_FILTER ? true : saw(seen, "mode %d", mode);
}

/* The arguments have no effect if the call is not denied. */
static bool denied_syscalls(char seen[SEEN_BYTES])
{
    static const struct {
        const char *name;
        long number;
        long arguments[4];
        int os;
    } calls[] = {
        { "unshare", SYS_unshare, { 0 }, EPERM },
        { "mount", SYS_mount, { 0 }, EPERM },
        { "umount2", SYS_umount2, { 0 }, EPERM },
        { "pivot_root", SYS_pivot_root, { 0 }, EPERM },
        { "chroot", SYS_chroot, { 0 }, EPERM },
        { "setns", SYS_setns, { -1 }, EPERM },
        { "clone(CLONE_NEWUSER)", SYS_clone, { CLONE_NEWUSER | CLONE_FS }, EPERM }, /* invalid together */
        { "clone3", SYS_clone3, { 0 }, ENOSYS },
        { "ptrace", SYS_ptrace, { 1, -1 }, EPERM },
        { "process_vm_readv", SYS_process_vm_readv, { -1 }, EPERM },
        { "keyctl", SYS_keyctl, { -1 }, EPERM },
        { "add_key", SYS_add_key, { 0 }, EPERM },
        { "bpf", SYS_bpf, { -1 }, EPERM },
        { "perf_event_open", SYS_perf_event_open, { 0 }, EPERM },
        { "userfaultfd", SYS_userfaultfd, { -1 }, EPERM },
        { "open_by_handle_at", SYS_open_by_handle_at, { -1 }, EPERM },
        { "init_module", SYS_init_module, { 0 }, EPERM },
        { "io_uring_setup", SYS_io_uring_setup, { 0 }, ENOSYS },
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const long *a = calls[i].arguments;
        errno = 0;
        long result = syscall(calls[i].number, a[0], a[1], a[2], a[3]);
        if (result >= 0 || errno != calls[i].os)
            return saw(seen, "%s: %s", calls[i].name, result >= 0 ? "is allowed" : strerror(errno));
    }
    return true;
}

static bool descriptors(char seen[SEEN_BYTES])
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return saw(seen, "/proc/self/fd: %s", strerror(errno));
    bool passes = true;
    const struct dirent *entry;
    while (passes && (entry = readdir(folder)) != NULL) {
        long fd = entry->d_name[0] == '.' ? 0 : strtol(entry->d_name, NULL, 10);
        if (fd > STDERR_FILENO && fd != dirfd(folder))
            passes = saw(seen, "descriptor %ld is open", fd);
    }
    (void)closedir(folder);
    return passes;
}

/* The only interface is a loopback that is down, there are no routes, and other socket families are denied. */
static bool network(char seen[SEEN_BYTES])
{
    auto_close int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return errno == EAFNOSUPPORT ? true : saw(seen, "socket: %s", strerror(errno));
    for (int index = 1; index < 64; index++) {
        struct ifreq interface = { .ifr_ifindex = index };
        if (ioctl(sock, SIOCGIFNAME, &interface) < 0)
            continue;
        bool up = ioctl(sock, SIOCGIFFLAGS, &interface) == 0 && (interface.ifr_flags & IFF_UP) != 0;
        if (up || strcmp(interface.ifr_name, "lo") != 0)
            return saw(seen, "interface %.15s%s", interface.ifr_name, up ? " is up" : "");
    }
    static const uint32_t addresses[] = { 0x7f000001, 0xa9fea9fe, 0x08080808 };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr = { htonl(addresses[i]) } };
        if (connect(sock, (struct sockaddr *)&to, sizeof to) == 0) /* for datagrams it only looks up a route */
            return saw(seen, "there is a route to %08x", addresses[i]);
    }
    auto_close int packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    return packets < 0 ? true : saw(seen, "a packet socket can be had");
}

/* Only this process and the two links to it. */
static bool processes_seen(char seen[SEEN_BYTES])
{
    if (getpid() != 2 || getppid() != 1)
        return saw(seen, "process %d, child of %d", (int)getpid(), (int)getppid());
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return saw(seen, "/proc: %s", strerror(errno));
    bool passes = true;
    const struct dirent *entry;
    while (passes && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "self") != 0 &&
            strcmp(entry->d_name, "thread-self") != 0 && strcmp(entry->d_name, "2") != 0)
            passes = saw(seen, "/proc/%s", entry->d_name);
    (void)closedir(folder);
    return passes && access("/proc/sys", F_OK) == 0 ? saw(seen, "/proc/sys") : passes;
}

/* Files that reveal facts about other boxes, or change what the kernel stores about a process. */
static bool files_of_proc(char seen[SEEN_BYTES])
{
    static const char *const folders[] = { "self", "thread-self", "2/task/2" };
    static const struct {
        const char *name;
        int flags;
    } files[] = { { "pagemap", O_RDONLY },   { "smaps", O_RDONLY },      { "smaps_rollup", O_RDONLY },
                  { "numa_maps", O_RDONLY }, { "clear_refs", O_WRONLY }, { "net/sockstat", O_RDONLY },
                  { "sched", O_RDONLY },     { "uid_map", O_RDONLY },    { "oom_score_adj", O_WRONLY } };
    if (getenv(PROBE_WITHOUT_LANDLOCK) != NULL)
        return true;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
            char path[64];
            (void)snprintf(path, sizeof path, "/proc/%s/%s", folders[i], files[k].name);
            auto_close int fd = open(path, files[k].flags | O_CLOEXEC);
            if (fd >= 0)
                return saw(seen, "%s can be opened", path);
        }
    }
    return true;
}

static bool has_option(const char *options, const char *wanted)
{
    size_t len = strlen(wanted);
    for (const char *at = options; at != NULL; at = strchr(at, ',') != NULL ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, wanted, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

static bool mount_is_safe(const char *target, const char *options)
{
    bool writable = strcmp(target, "/box") == 0 || strcmp(target, "/tmp") == 0 || strcmp(target, "/dev/shm") == 0 ||
                    strcmp(target, "/proc") == 0;
    if (strcmp(target, "/.run") == 0 || strcmp(target, EXEC_CACHE_FOLDER) == 0) /* root only */
        writable = access(target, X_OK) < 0 && access(target, R_OK) < 0 && access(target, W_OK) < 0;
    return has_option(options, "nosuid") && (has_option(options, "nodev") || strcmp(target, "/dev") == 0) &&
           (writable || has_option(options, "ro"));
}

static bool mounts(char seen[SEEN_BYTES])
{
    FILE *list = fopen("/proc/self/mountinfo", "re");
    if (list == NULL)
        return saw(seen, "mountinfo: %s", strerror(errno));
    char line[4096], target[1024], options[256];
    bool passes = true;
    while (passes && fgets(line, sizeof line, list) != NULL)
        if (sscanf(line, "%*s %*s %*s %*s %1023s %255s", target, options) != 2 || !mount_is_safe(target, options))
            passes = saw(seen, "%.80s is %.80s", target, options);
    (void)fclose(list);
    return passes;
}

static bool read_only(char seen[SEEN_BYTES])
{
    static const char *const folders[] = { "/", "/usr", "/etc", "/dev", "/proc", "/bin", "/lib" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (access(folders[i], W_OK) == 0)
            return saw(seen, "%s can be written", folders[i]);
    return true;
}

static bool devices(char seen[SEEN_BYTES])
{
    static const char *const few[] = { ".",       "..", "null",  "zero",   "full",   "random",
                                       "urandom", "fd", "stdin", "stdout", "stderr", "shm" };
    DIR *folder = opendir("/dev");
    if (folder == NULL)
        return saw(seen, "/dev: %s", strerror(errno));
    bool passes = true;
    const struct dirent *entry;
    while (passes && (entry = readdir(folder)) != NULL) {
        size_t i = 0;
        while (i < sizeof few / sizeof *few && strcmp(few[i], entry->d_name) != 0)
            i++;
        if (i == sizeof few / sizeof *few)
            passes = saw(seen, "/dev/%s", entry->d_name);
    }
    (void)closedir(folder);
    return passes;
}

static bool limits(char seen[SEEN_BYTES])
{
    struct rlimit core, files;
    if (getrlimit(RLIMIT_CORE, &core) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return saw(seen, "getrlimit: %s", strerror(errno));
    if (core.rlim_max > 1)
        return saw(seen, "core files of %llu bytes", (unsigned long long)core.rlim_max);
    return files.rlim_max <= PROBE_OPEN_FILES_MAX ? true
                                                  : saw(seen, "%llu open files", (unsigned long long)files.rlim_max);
}

static bool session(char seen[SEEN_BYTES])
{
    if (getsid(0) != getpid())
        return saw(seen, "session of process %d", (int)getsid(0));
    struct utsname names;
    return uname(&names) == 0 && strcmp(names.nodename, "box") == 0 ? true
                                                                    : saw(seen, "host name %.64s", names.nodename);
}

static bool process_limit(char seen[SEEN_BYTES])
{
    pid_t children[PROBE_PROCESSES_MAX];
    size_t len = 0;
    bool denied = false;
    while (len < PROBE_PROCESSES_MAX && !denied) {
        pid_t child = fork();
        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            (void)pause();
            _exit(0);
        }
        denied = child < 0;
        if (!denied)
            children[len++] = child;
    }
    for (size_t i = 0; i < len; i++) {
        (void)kill(children[i], SIGKILL);
        (void)waitpid(children[i], NULL, 0);
    }
    return denied ? true : saw(seen, "%u more processes started", PROBE_PROCESSES_MAX);
}

static const struct {
    const char *name;
    bool (*passes)(char seen[SEEN_BYTES]);
} checks[] = {
    { "user", user },
    { "user namespace", user_namespace },
    { "capabilities", capabilities },
    { "no_new_privs", no_new_privileges },
    { "seccomp", filter },
    { "system calls", denied_syscalls },
    { "descriptors", descriptors },
    { "network", network },
    { "processes seen", processes_seen },
    { "files of /proc", files_of_proc },
    { "mounts", mounts },
    { "read-only image", read_only },
    { "devices", devices },
    { "limits", limits },
    { "session and host name", session },
    { "process limit", process_limit },
};

#ifdef __SANITIZE_ADDRESS__
/* In a box the sanitizer can neither set a core limit nor check for leaks. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "disable_coredump=0:detect_leaks=0";
}
#endif

int probe_main(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        char seen[SEEN_BYTES] = "";
        if (checks[i].passes(seen))
            continue;
        failed++;
        dprintf(STDOUT_FILENO, "%s: %s\n", checks[i].name, seen);
    }
    char *memory = mmap(NULL, PROBE_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; memory != MAP_FAILED && at < PROBE_MEMORY_BYTES; at += 4096)
        ((volatile char *)memory)[at] = 1;
    return failed;
}
