/*
 * data_folder: an existing folder is judged by its descriptor, which is the one that changes owner.  So it does not
 * matter what its path means a moment later.
 */
#include "daemon/data_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#define REMEDY "set EVALX_DATA to a folder of its own, such as /var/lib/evalx"

enum content { CONTENT_NONE, CONTENT_OURS, CONTENT_FOREIGN };

static int read_content(int fd, enum content *ret)
{
    static const char *const ours[] = { "evalx.db", "artifacts" };
    int listed = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listed < 0 ? NULL : fdopendir(listed);
    bool any = false, has_ours = false;

    if (entries == NULL) {
        if (listed >= 0)
            (void)close(listed);
        return -1;
    }
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0)
            continue; /* a new file system contains lost+found */
        any = true;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            has_ours |= strcmp(name, ours[i]) == 0;
    }
    (void)closedir(entries);
    *ret = has_ours ? CONTENT_OURS : any ? CONTENT_FOREIGN : CONTENT_NONE;
    return 0;
}

static bool starts_with(const char *path, const char *start)
{
    return strncmp(path, start, strlen(start)) == 0;
}

/* True for folders of root that are the system's also where they are empty, by the Filesystem Hierarchy Standard. */
static bool is_system_place(const char *path)
{
    static const char *const folders[] = { "/dev",  "/dev/shm", "/home", "/media", "/mnt", "/opt",
                                           "/root", "/run",     "/srv",  "/tmp",   "/var" };
    static const char *const trees[] = { "/bin", "/boot", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr" };
    static const char *const parents[] = { "/run/", "/var/" };

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strcmp(path, folders[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++)
        if (starts_with(path, trees[i]) && strchr("/", path[strlen(trees[i])]) != NULL)
            return true;
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        if (starts_with(path, parents[i]) && strchr(path + strlen(parents[i]), '/') == NULL)
            return true;
    return strcmp(path, "/") == 0 || starts_with(path, "/lib32") || starts_with(path, "/lib64");
}

static bool is_home_of_another(const char *path, const struct identity *identity)
{
    const struct passwd *user;

    setpwent();
    while ((user = getpwent()) != NULL && (user->pw_uid == identity->uid || strcmp(user->pw_dir, path) != 0))
        continue;
    endpwent();
    return user != NULL;
}

/* Whether evalx may use this existing folder. */
static int judge(int fd, const char *folder, const struct identity *identity, struct error *err)
{
    char link[40], path[PATH_MAX];
    enum content content;
    struct stat status;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0 || fstat(fd, &status) < 0 || read_content(fd, &content) < 0)
        return error_set(err, ERROR_SETUP, errno, "read data folder %s", folder);
    path[len] = '\0';
    if (status.st_uid != identity->uid && status.st_uid != 0)
        return error_set(err, ERROR_SETUP, 0,
                         "data folder %s is owned by user %u, not by %s: if it is evalx's, chown -R %u:%u %s, or set "
                         "EVALX_DATA to another folder",
                         folder, (unsigned)status.st_uid, identity->name, (unsigned)identity->uid,
                         (unsigned)identity->gid, folder);
    if (status.st_uid == 0 && (is_system_place(path) || is_home_of_another(path, identity)))
        return error_set(err, ERROR_SETUP, 0, "data folder %s belongs to the system: " REMEDY, folder);
    if (content == CONTENT_FOREIGN)
        return error_set(err, ERROR_SETUP, 0, "data folder %s contains files that are not evalx's: " REMEDY, folder);
    if (status.st_uid == 0 && content == CONTENT_OURS)
        return error_set(err, ERROR_SETUP, 0,
                         "data folder %s is root's and holds data of evalx: chown -R %u:%u %s returns it to %s", folder,
                         (unsigned)identity->uid, (unsigned)identity->gid, folder, identity->name);
    return 0;
}

/* The folders above `path`: whoever can write to one of them, or owns a link in one, decides where the path leads. */
static int check_way(const char *path, const struct identity *identity, struct error *err)
{
    char above[PATH_MAX], next[PATH_MAX];
    struct stat status, entry;

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);
        (void)snprintf(above, sizeof above, "%.*s", (int)len, path);
        if (stat(above, &status) < 0)
            return 0; /* does not exist yet */
        if ((status.st_mode & S_IWOTH) == 0)
            continue;
        (void)snprintf(next, sizeof next, "%.*s", (int)(slash + 1 + strcspn(slash + 1, "/") - path), path);
        bool is_foreign = lstat(next, &entry) == 0 && entry.st_uid != 0 && entry.st_uid != identity->uid;
        if ((status.st_mode & S_ISVTX) == 0 || is_foreign)
            return error_set(err, ERROR_SETUP, 0,
                             "data folder %s: every user can write to %s and put another folder in its place: " REMEDY,
                             path, above);
    }
    return 0;
}

/* The absolute path without repeated or trailing slashes; symbolic links are kept. */
static int normalise(const char *folder, char ret[PATH_MAX], struct error *err)
{
    size_t len = 0;

    if (folder[0] != '/') {
        if (getcwd(ret, PATH_MAX) == NULL)
            return error_set(err, ERROR_SETUP, errno, "data folder %s: find the current folder", folder);
        len = strlen(ret);
    }
    for (const char *at = folder; *at != '\0';) {
        at += strspn(at, "/");
        size_t word = strcspn(at, "/");
        if (word == 2 && at[0] == '.' && at[1] == '.')
            return error_set(err, ERROR_SETUP, 0, "data folder %s: expected a path without \"..\"", folder);
        if (word > 0 && !(word == 1 && at[0] == '.')) {
            if (len + 1 + word >= PATH_MAX)
                return error_set(err, ERROR_SETUP, ENAMETOOLONG, "data folder");
            ret[len++] = '/';
            memcpy(ret + len, at, word);
            len += word;
        }
        at += word;
    }
    if (len == 0)
        return error_set(err, ERROR_SETUP, 0, "data folder %s belongs to the system: " REMEDY, folder);
    ret[len] = '\0';
    return 0;
}

/* Of the path as it is written, and of what its links lead to.  *path exists, or at least the folder above it. */
static int check_real_way(const char *path, const struct identity *identity, struct error *err)
{
    char above[PATH_MAX], real[PATH_MAX], whole[2 * PATH_MAX];
    const char *name = strrchr(path, '/');

    (void)snprintf(above, sizeof above, "%.*s/", (int)(name - path), path);
    if (realpath(above, real) == NULL)
        return error_set(err, ERROR_SETUP, errno, "data folder %s", path);
    (void)snprintf(whole, sizeof whole, "%s%s", strcmp(real, "/") == 0 ? "" : real, name);
    return strlen(whole) < PATH_MAX ? check_way(whole, identity, err)
                                    : error_set(err, ERROR_SETUP, ENAMETOOLONG, "data folder");
}

static int open_folder(const char *path, int *ret_fd, struct error *err)
{
    struct stat status;

    if (lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
        return error_set(err, ERROR_SETUP, 0, "data folder %s is a symbolic link: set EVALX_DATA to what it points to",
                         path);
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : error_set(err, ERROR_SETUP, errno, "open data folder %s", path);
}

/* The parents belong to root with mode 0755, so that only root can replace the data folder. */
static int create_folders(char *path, bool *ret_created, struct error *err)
{
    mode_t mask = umask(022);
    int outcome = 0;

    for (char *slash = strchr(path + 1, '/'); slash != NULL && outcome == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            outcome = error_set(err, ERROR_SETUP, errno, "create folder %s", path);
        *slash = '/';
    }
    *ret_created = outcome == 0 && mkdir(path, 0700) == 0;
    if (outcome == 0 && !*ret_created && errno != EEXIST)
        outcome = error_set(err, ERROR_SETUP, errno, "create data folder %s", path);
    (void)umask(mask);
    return outcome;
}

int data_folder_prepare(const char *folder, const struct identity *identity, struct error *err)
{
    char path[PATH_MAX];
    auto_close int fd = -1;
    struct stat status;
    bool created;

    if (normalise(folder, path, err) < 0 || check_way(path, identity, err) < 0 ||
        create_folders(path, &created, err) < 0 || check_real_way(path, identity, err) < 0 ||
        open_folder(path, &fd, err) < 0 || judge(fd, path, identity, err) < 0)
        return -1;
    if (fstat(fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "stat data folder %s", path);
    if (status.st_uid == 0 && fchown(fd, identity->uid, identity->gid) < 0)
        return error_set(err, ERROR_SETUP, errno, "chown data folder %s to %s", path, identity->name);
    if ((status.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
        return error_set(err, ERROR_SETUP, errno, "chmod data folder %s", path);
    return 0;
}

/* 0, or the errno with which this access fails for the identity.  In a child, because there is no way back to root. */
static int access_as(const char *path, int mode, const struct identity *identity)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        bool changed = setgroups(0, NULL) == 0 && setresgid(identity->gid, identity->gid, identity->gid) == 0 &&
                       setresuid(identity->uid, identity->uid, identity->uid) == 0;
        _exit(changed && access(path, mode) == 0 ? 0 : errno);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return child < 0 ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
}

int data_folder_check(const char *folder, const struct identity *identity, bool *ret_exists, struct error *err)
{
    char path[PATH_MAX], nearest[PATH_MAX];
    struct stat status;

    if (normalise(folder, path, err) < 0 || check_way(path, identity, err) < 0)
        return -1;
    (void)snprintf(nearest, sizeof nearest, "%s", path);
    *ret_exists = lstat(nearest, &status) == 0;
    if (*ret_exists) {
        auto_close int fd = -1;
        if (check_real_way(path, identity, err) < 0 || open_folder(path, &fd, err) < 0 ||
            judge(fd, path, identity, err) < 0)
            return -1;
    } else {
        while (stat(nearest, &status) < 0 && errno == ENOENT && nearest[1] != '\0') {
            char *slash = strrchr(nearest, '/');
            slash[slash == nearest] = '\0';
        }
    }
    /* Root may write everywhere, except on a file system that is read-only. */
    if (access(nearest, W_OK) < 0)
        return error_set(err, ERROR_SETUP, errno, "data folder %s: write to %s", path, nearest);
    /* The folder itself becomes the identity's; what it needs besides is the way there. */
    if (*ret_exists) {
        char *slash = strrchr(nearest, '/');
        slash[slash == nearest] = '\0';
    }
    int os = access_as(nearest, X_OK, identity);
    if (os != 0)
        return error_set(err, ERROR_SETUP, os, "data folder %s: user %s cannot enter %s", path, identity->name,
                         nearest);
    return 0;
}
