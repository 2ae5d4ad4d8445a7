/* landlock: see the header. */
#include "sandboxd/landlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/landlock.h"
#include "base/packet.h"
#include "sandboxd/proc_files.h"

#define FILE_ACCESS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define FOLDER_ACCESS (FILE_ACCESS | LANDLOCK_ACCESS_FS_REFER)

/* What runtimes read at their start, and what programs ask about themselves.  None reveals other processes. */
static const char *const readable[] = { "auxv", "cgroup",    "cmdline", "comm", "environ", "limits",
                                        "maps", "mountinfo", "mounts",  "stat", "statm",   "status" };
#define READABLE (sizeof readable / sizeof *readable)
#define RULES (READABLE + PROC_FILES)

static int allow(int ruleset, int fd, uint64_t access)
{
    const struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? errno : 0;
}

static int allow_top_entry(int ruleset, int root, const struct dirent64 *entry)
{
    bool is_folder = entry->d_type == DT_DIR;
    if ((!is_folder && entry->d_type != DT_REG) || entry->d_name[0] == '.' || strcmp(entry->d_name, "proc") == 0)
        return 0;
    auto_close int fd = openat(root, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? errno : allow(ruleset, fd, is_folder ? FOLDER_ACCESS : FILE_ACCESS);
}

/* Allows all that is below the root's entries but /proc.  getdents64, because opendir allocates. */
static int allow_image(int ruleset)
{
    _Alignas(struct dirent64) char entries[2048];
    auto_close int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return errno;
    for (;;) {
        ssize_t len = getdents64(root, entries, sizeof entries);
        if (len <= 0)
            return len < 0 ? errno : 0;
        for (ssize_t at = 0; at < len;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
            int os = allow_top_entry(ruleset, root, entry);
            if (os != 0)
                return os;
            at += entry->d_reclen;
        }
    }
}

/*
 * A rule belongs to an inode.  The kernel makes a new one for a file of /proc when it has forgotten the old one, unless
 * somebody holds the file.  The unread packet does.
 */
static int allow_own_files(int ruleset, int keeper)
{
    int fds[RULES], os = 0;
    size_t len = 0;
    auto_close int own = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (own < 0)
        return errno;
    while (os == 0 && len < RULES) {
        fds[len] = openat(own, len < READABLE ? readable[len] : proc_files[len - READABLE], O_PATH | O_CLOEXEC);
        os = fds[len] < 0 ? errno : allow(ruleset, fds[len], LANDLOCK_ACCESS_FS_READ_FILE);
        len += fds[len] >= 0;
    }
    if (os == 0 && packet_send(keeper, "", 1, fds, READABLE) < 0)
        os = errno;
    while (len > 0)
        (void)close(fds[--len]);
    return os;
}

int landlock_restrict(int keeper)
{
    /* Rights that are not handled here are not restricted: executing, listing, making and removing. */
    const struct landlock_ruleset_attr handled = { .handled_access_fs = FOLDER_ACCESS };
    auto_close int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    int os = ruleset < 0 ? errno : allow_image(ruleset);
    if (os == 0)
        os = allow_own_files(ruleset, keeper);
    if (os == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        os = errno;
    return os;
}
