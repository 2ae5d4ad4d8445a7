/*
 * host_check: the checks, one function each; simple sysctls share a table.
 *
 * A missing file means that the kernel was built without the feature.  That is good if the feature is a risk, and bad
 * if it is a protection.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/self.h"
#include "sandbox/host_check_internal.h"

#define PATH_BYTES 600

const char *host_state_name(enum host_state state)
{
    static const char *const names[] = { [HOST_OK] = "ok", [HOST_WARN] = "warn", [HOST_MISSING] = "missing" };
    static_assert(sizeof names / sizeof *names == HOST_STATE_COUNT_, "every state has a name");
    return names[state];
}

/* ---- shared by the host_check files ---- */

void host_add(struct host_list *list, enum host_state state, const char *name, const char *remedy, const char *fmt, ...)
{
    if (list->len == HOST_FINDINGS_MAX)
        return;
    struct host_finding *finding = &list->findings[list->len++];
    *finding = (struct host_finding){ .name = name, .state = state };
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(finding->seen, sizeof finding->seen, fmt, args);
    va_end(args);
    if (state != HOST_OK)
        (void)snprintf(finding->remedy, sizeof finding->remedy, "%s", remedy);
}

static FILE *open_below(const struct host_list *list, const char *path)
{
    char whole[PATH_BYTES];
    if (snprintf(whole, sizeof whole, "%s%s", list->host->root, path) >= (int)sizeof whole)
        return NULL;
    return fopen(whole, "re");
}

bool host_read(const struct host_list *list, const char *path, char ret[], size_t size)
{
    ret[0] = '\0';
    FILE *file = open_below(list, path);
    if (file == NULL)
        return false;
    size_t len = fread(ret, 1, size - 1, file);
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    while (len > 0 && ret[len - 1] == '\n')
        len--;
    ret[len] = '\0';
    return !failed;
}

int64_t host_number(const struct host_list *list, const char *path)
{
    char text[64], *end;
    if (!host_read(list, path, text, sizeof text))
        return -1;
    if (strcmp(text, "max") == 0)
        return INT64_MAX;
    long long value = strtoll(text, &end, 10);
    return end == text ? -1 : value;
}

bool host_exists(const struct host_list *list, const char *path)
{
    char whole[PATH_BYTES];
    return snprintf(whole, sizeof whole, "%s%s", list->host->root, path) < (int)sizeof whole &&
           access(whole, F_OK) == 0;
}

bool host_line(const struct host_list *list, const char *path, const char *start, char ret[], size_t size)
{
    char line[1024];
    bool found = false;
    FILE *file = open_below(list, path);
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, start, strlen(start)) == 0;
        if (found)
            (void)snprintf(ret, size, "%s", line + strlen(start));
    }
    if (file != NULL)
        (void)fclose(file);
    return found;
}

bool host_has_word(const char *words, const char *word)
{
    static const char separators[] = " ,:\t\n";
    size_t len = strlen(word);
    for (const char *at = words; *at != '\0';) {
        at += strspn(at, separators);
        size_t here = strcspn(at, separators);
        if (here == len && memcmp(at, word, len) == 0)
            return true;
        at += here;
    }
    return false;
}

bool host_kernel_since(const struct host_list *list, unsigned major, unsigned minor)
{
    return list->kernel_major > major || (list->kernel_major == major && list->kernel_minor >= minor);
}

/* ---- the kernel ---- */

static void check_kernel(struct host_list *list)
{
    static const struct {
        unsigned major, minor;
        const char *what;
    } needs[] = { { 5, 3, "clone3" },
                  { 5, 6, "openat2" },
                  { 5, 8, "a /proc of processes only" },
                  { 5, 11, "close_range with close-on-exec" },
                  { 5, 12, "mount_setattr" } };
    char release[100];
    if (!host_read(list, "/proc/sys/kernel/osrelease", release, sizeof release) ||
        sscanf(release, "%u.%u", &list->kernel_major, &list->kernel_minor) != 2) {
        host_add(list, HOST_MISSING, "proc", "sudo mount -t proc proc /proc", "/proc shows no kernel version");
        return;
    }
    char lacks[160] = "";
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (!host_kernel_since(list, needs[i].major, needs[i].minor))
            (void)snprintf(lacks + strlen(lacks), sizeof lacks - strlen(lacks), "%s%s", lacks[0] != '\0' ? ", " : "",
                           needs[i].what);
    if (lacks[0] == '\0')
        host_add(list, HOST_OK, "kernel", NULL, "Linux %s has all system calls that are needed", release);
    else
        host_add(list, HOST_MISSING, "kernel",
                 "install Linux 5.12 or newer (sudo apt install linux-image-amd64 or linux-generic) and reboot",
                 "Linux %s lacks %s", release, lacks);
}

static void check_seccomp(struct host_list *list)
{
    char actions[200];
    const char *remedy = "boot a kernel with CONFIG_SECCOMP_FILTER=y (all distribution kernels have it)";
    if (!host_read(list, "/proc/sys/kernel/seccomp/actions_avail", actions, sizeof actions))
        host_add(list, HOST_MISSING, "seccomp", remedy, "no /proc/sys/kernel/seccomp");
    else if (!host_has_word(actions, "errno") || !host_has_word(actions, "kill_process"))
        host_add(list, HOST_MISSING, "seccomp", remedy, "only: %s", actions);
    else if (!host_has_word(actions, "user_notif"))
        host_add(list, HOST_WARN, "seccomp", "leave denied_syscalls=error, or boot Linux 5.0 or newer",
                 "no user_notif: denied_syscalls=kill cannot work");
    else
        host_add(list, HOST_OK, "seccomp", NULL, "filters and listeners");
}

static void check_landlock(struct host_list *list)
{
    if (list->host->has_landlock)
        host_add(list, HOST_OK, "landlock", NULL, "programs can open only a few files of /proc");
    else
        host_add(list, HOST_WARN, "landlock",
                 "boot Linux 5.19 or newer with landlock in its lsm= list (Debian 12 and Ubuntu 24.04 have it)",
                 "not available: /proc tells programs which files of their image others are using");
}

static void check_namespaces(struct host_list *list)
{
    static const char *const kinds[] = { "user", "pid", "mnt", "ipc", "net", "uts", "cgroup" };
    char none[100] = "", remedy[160];
    const char *first = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char path[80];
        (void)snprintf(path, sizeof path, "/proc/sys/user/max_%s_namespaces", kinds[i]);
        if (host_number(list, path) > 0)
            continue;
        first = first == NULL ? kinds[i] : first;
        (void)snprintf(none + strlen(none), sizeof none - strlen(none), " %s", kinds[i]);
    }
    if (first == NULL) {
        host_add(list, HOST_OK, "namespaces", NULL, "user, pid, mnt, ipc, net, uts and cgroup are available");
        return;
    }
    (void)snprintf(remedy, sizeof remedy, "sudo sysctl -w user.max_%s_namespaces=15000 (and into /etc/sysctl.d)",
                   first);
    host_add(list, HOST_MISSING, "namespaces", remedy, "not available:%s", none);
}

static uint64_t effective_capabilities(const struct host_list *list)
{
    char text[40];
    return host_line(list, "/proc/self/status", "CapEff:", text, sizeof text) ? strtoull(text, NULL, 16) : 0;
}

static void check_capabilities(struct host_list *list)
{
    static const struct {
        int number;
        const char *name;
    } needs[] = { { CAP_CHOWN, "CHOWN" },        { CAP_DAC_OVERRIDE, "DAC_OVERRIDE" },
                  { CAP_KILL, "KILL" },          { CAP_SETGID, "SETGID" },
                  { CAP_SETUID, "SETUID" },      { CAP_SETPCAP, "SETPCAP" },
                  { CAP_MKNOD, "MKNOD" },        { CAP_SYS_CHROOT, "SYS_CHROOT" },
                  { CAP_SYS_ADMIN, "SYS_ADMIN" } };
    uint64_t effective = effective_capabilities(list);
    char lacks[160] = "";
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if ((effective >> needs[i].number & 1) == 0)
            (void)snprintf(lacks + strlen(lacks), sizeof lacks - strlen(lacks), " %s", needs[i].name);
    char as_root[160];
    (void)snprintf(as_root, sizeof as_root, "sudo %s check", self_name());
    if (lacks[0] == '\0')
        host_add(list, HOST_OK, "capabilities", NULL, "all that the launcher needs");
    else
        host_add(list, HOST_MISSING, "capabilities",
                 effective == 0 ? as_root : "docker run --privileged ..., or start evalx on the host", "missing:%s",
                 lacks);
}

/* If the root of a process is not a mount, the process is in a chroot, where pivot_root fails. */
static void check_root(struct host_list *list)
{
    char line[1024], point[256], kind[64];
    bool root_is_mount = false, any = false;
    FILE *mounts = open_below(list, "/proc/self/mountinfo");
    while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL)
        if (sscanf(line, "%*s %*s %*s %*s %255s", point) == 1) {
            any = true;
            root_is_mount |= strcmp(point, "/") == 0;
        }
    if (mounts != NULL)
        (void)fclose(mounts);
    if (any && !root_is_mount) {
        host_add(list, HOST_MISSING, "root",
                 "start evalx outside the chroot, or in a container with its own root mount",
                 "this is a chroot: pivot_root cannot work");
        return;
    }
    static const char *const signs[] = { "/.dockerenv", "/run/.containerenv", "/run/systemd/container" };
    size_t i = 0;
    while (i < sizeof signs / sizeof *signs && !host_exists(list, signs[i]))
        i++;
    if (i == sizeof signs / sizeof *signs) {
        host_add(list, HOST_OK, "root", NULL, "a root mount, and no container");
        return;
    }
    if (!host_read(list, "/run/systemd/container", kind, sizeof kind) || kind[0] == '\0')
        (void)snprintf(kind, sizeof kind, "by %s", signs[i]);
    host_add(list, HOST_WARN, "root",
             "docker run --privileged --cgroupns=host ..., and check that the other findings are ok",
             "this is a container (%s): its privileges depend on how it was started", kind);
}

/* ---- settings of the kernel ---- */

static void check_apparmor(struct host_list *list)
{
    int64_t restricted = host_number(list, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    int64_t allowed = host_number(list, "/proc/sys/kernel/unprivileged_userns_clone");
    bool privileged = (effective_capabilities(list) >> CAP_SYS_ADMIN & 1) != 0;
    if (restricted <= 0 && allowed != 0)
        host_add(list, HOST_OK, "user_namespace_rules", NULL, "user namespaces are not restricted");
    else if (privileged)
        host_add(list, HOST_OK, "user_namespace_rules", NULL,
                 "%s restricts unprivileged user namespaces; evalx creates its own as root",
                 restricted > 0 ? "AppArmor" : "unprivileged_userns_clone");
    else
        host_add(list, HOST_WARN, "user_namespace_rules",
                 restricted > 0 ? "start evalx as root (else: sudo sysctl -w "
                                  "kernel.apparmor_restrict_unprivileged_userns=0)"
                                : "start evalx as root (else: sudo sysctl -w kernel.unprivileged_userns_clone=1)",
                 "only privileged processes may create user namespaces (%s)",
                 restricted > 0 ? "AppArmor, as in Ubuntu 24.04" : "unprivileged_userns_clone");
}

static void check_core_pattern(struct host_list *list)
{
    char pattern[200];
    if (!host_read(list, "/proc/sys/kernel/core_pattern", pattern, sizeof pattern))
        return;
    if (pattern[0] != '|')
        host_add(list, HOST_OK, "core_pattern", NULL, "%s", pattern[0] != '\0' ? pattern : "empty");
    else
        host_add(list, HOST_WARN, "core_pattern", "sudo sysctl -w kernel.core_pattern=core (and into /etc/sysctl.d)",
                 "a pipe: crashes on the host start %.80s as root; crashes in boxes do not", pattern);
}

static void check_memfd(struct host_list *list)
{
    int64_t level = host_number(list, "/proc/sys/vm/memfd_noexec");
    if (level >= 2)
        host_add(list, HOST_MISSING, "memfd_noexec", "sudo sysctl -w vm.memfd_noexec=1 (and into /etc/sysctl.d)",
                 "%" PRId64 ": the launcher cannot be executed from memory", level);
    else
        host_add(list, HOST_OK, "memfd_noexec", NULL, level < 0 ? "absent" : "executable memfds are allowed");
}

/* Settings that protect the host's users from each other: values below `least` are too small. */
static void check_sysctls(struct host_list *list)
{
    static const struct {
        const char *name, *path, *remedy, *without;
        int64_t least;
        bool absent_is_fine;
    } rows[] = {
        { "ptrace_scope", "/proc/sys/kernel/yama/ptrace_scope", "sudo sysctl -w kernel.yama.ptrace_scope=1",
          "processes of one user may trace each other (programs in boxes may not trace)", 1, true },
        { "protected_hardlinks", "/proc/sys/fs/protected_hardlinks", "sudo sysctl -w fs.protected_hardlinks=1",
          "users may create hard links to files of others", 1, false },
        { "protected_symlinks", "/proc/sys/fs/protected_symlinks", "sudo sysctl -w fs.protected_symlinks=1",
          "symbolic links in shared folders are followed", 1, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value = host_number(list, rows[i].path);
        bool fine = value >= rows[i].least || (value < 0 && rows[i].absent_is_fine);
        char seen[24];
        (void)snprintf(seen, sizeof seen, "%" PRId64, value);
        host_add(list, fine ? HOST_OK : HOST_WARN, rows[i].name, rows[i].remedy, "%s%s%s", value < 0 ? "absent" : seen,
                 fine ? "" : ": ", fine ? "" : rows[i].without);
    }
}

/* ---- the machine ---- */

static void check_overlay(struct host_list *list)
{
    char systems[4096];
    (void)host_read(list, "/proc/filesystems", systems, sizeof systems);
    if (host_has_word(systems, "overlay"))
        host_add(list, HOST_OK, "overlay", NULL, "each slot has its own view of an image");
    else
        host_add(list, HOST_WARN, "overlay", "sudo modprobe overlay (and into /etc/modules-load.d)",
                 "not available: slots share the files of an image, so runs can signal each other with file locks");
}

static void check_smt(struct host_list *list)
{
    int64_t active = host_number(list, "/sys/devices/system/cpu/smt/active");
    if (active == 1)
        host_add(list, HOST_WARN, "smt", "echo off | sudo tee /sys/devices/system/cpu/smt/control, or fewer slots",
                 "two threads share a core: concurrent runs distort each other's CPU times");
    else
        host_add(list, HOST_OK, "smt", NULL, "one thread per core");
}

static void check_pids(struct host_list *list)
{
    static const char *const paths[] = { "/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max" };
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int64_t value = host_number(list, paths[i]);
        if (value >= 0 && value < least)
            least = value;
    }
    uint64_t wanted = list->host->processes + 1024; /* 1024 for the host itself */
    bool enough = least >= 0 && (uint64_t)least >= wanted;
    host_add(list, enough ? HOST_OK : HOST_WARN, "processes", "sudo sysctl -w kernel.pid_max=4194304",
             "the host allows %" PRId64 "; the slots may need %" PRIu64, least, wanted);
}

static void check_disk(struct host_list *list)
{
    const struct host_environment *host = list->host;
    if (!host->disk_known)
        return;
    uint64_t mib = host->disk_bytes_free >> 20;
    bool few_inodes = host->disk_inodes_free < 10000, little = mib < 1024;
    enum host_state state = mib < 64 || host->disk_inodes_free < 100 ? HOST_MISSING
                            : few_inodes || little                   ? HOST_WARN
                                                                     : HOST_OK;
    host_add(list, state, "disk", "free space there, or choose another folder with EVALX_DATA",
             "%" PRIu64 " MiB and %" PRIu64 " inodes free at %s", mib, host->disk_inodes_free, host->data);
}

void host_environment_disk(struct host_environment *host)
{
    char path[PATH_BYTES];
    struct statvfs status;
    if (snprintf(path, sizeof path, "%s", host->data) >= (int)sizeof path)
        return;
    while (statvfs(path, &status) < 0) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT || slash == NULL || path[1] == '\0')
            return;
        slash[slash == path] = '\0'; /* "/x" -> "/" */
    }
    host->disk_known = true;
    host->disk_bytes_free = (uint64_t)status.f_bavail * status.f_frsize;
    host->disk_inodes_free =
        status.f_files == 0 ? UINT64_MAX : status.f_favail; /* btrfs, for example, does not count inodes */
}

size_t host_check(const struct host_environment *host, struct host_finding ret[HOST_FINDINGS_MAX])
{
    static void (*const checks[])(struct host_list *) = {
        check_kernel,       check_capabilities, check_root,  check_namespaces, check_apparmor,
        check_seccomp,      check_landlock,     check_memfd, check_overlay,    host_check_cgroups,
        check_core_pattern, check_sysctls,      check_pids,  check_smt,        check_disk,
    };
    struct host_list list = { .host = host, .findings = ret };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        checks[i](&list);
    return list.len;
}
