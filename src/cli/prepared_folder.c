/* prepared_folder: see the header. */
#include "cli/prepared_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/image_layers.h"
#include "sandbox/prepared.h"
#include "sandbox/archive.h"

#define INCOMPLETE ".new"
#define DEPTH_MAX (ARCHIVE_DEPTH_MAX + 1)

int prepared_folder_open(const char *images_folder, const char *image, int *ret_folder, struct error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/" IMAGE_LAYERS_PREPARED "/%s", images_folder, image) >= (int)sizeof path)
        return error_set(err, ERROR_SETUP, ENAMETOOLONG, "%s", images_folder);
    (void)umask(022);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0755);
        *slash = '/';
        if (made < 0 && errno != EEXIST)
            return error_set(err, ERROR_SETUP, errno, "create the folders of %s", path);
    }
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SETUP, errno, "create %s", path);
    /* With the checks that the launcher makes. */
    auto_close int seen = -1;
    if (image_layers_open_prepared(images_folder, image, &seen, err) < 0)
        return -1;
    auto_close int folder = seen < 0 ? -1 : openat(seen, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || flock(folder, LOCK_EX) < 0)
        return error_set(err, ERROR_SETUP, errno, "open %s", path);
    *ret_folder = take_fd(&folder);
    return 0;
}

bool prepared_folder_has(int folder, const char *name)
{
    struct stat status;

    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

/* The folder belongs to root.  Links in it are removed, not followed. */
static void remove_tree(int folder, const char *name, int depth)
{
    if (unlinkat(folder, name, 0) == 0 || depth == DEPTH_MAX)
        return;
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(fd, entry->d_name, depth + 1);
    (void)closedir(entries);
    (void)unlinkat(folder, name, AT_REMOVEDIR);
}

int prepared_folder_put(int folder, const char *name, int archive, uint64_t *ret_bytes, struct error *err)
{
    struct stat status;

    remove_tree(folder, INCOMPLETE, 0);
    if (fstat(archive, &status) < 0 || mkdirat(folder, INCOMPLETE, 0755) < 0)
        return error_set(err, ERROR_SETUP, errno, "create a folder for it");
    auto_close int made = openat(folder, INCOMPLETE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int os = made < 0 ? errno : archive_unpack(archive, made);
    if (os == 0 && syncfs(made) < 0)
        os = errno;
    if (os == 0)
        remove_tree(folder, name, 0);
    if (os == 0 && renameat(folder, INCOMPLETE, folder, name) < 0)
        os = errno;
    if (os != 0) {
        remove_tree(folder, INCOMPLETE, 0);
        return error_set(err, ERROR_SETUP, os, "write its files");
    }
    *ret_bytes = (uint64_t)status.st_size;
    return 0;
}

void prepared_folder_remove(int folder, const char *name)
{
    remove_tree(folder, name, 0);
}

/* "cpp-0123456789abcdef" of "cpp", but not "cpp-x-0123456789abcdef". */
static bool belongs_to(const char *name, struct text id)
{
    return strlen(name) == id.len + 1 + PREPARED_FINGERPRINT_CHARS && memcmp(name, id.at, id.len) == 0 &&
           name[id.len] == '-' && strspn(name + id.len + 1, "0123456789abcdef") == PREPARED_FINGERPRINT_CHARS;
}

void prepared_folder_remove_old(int folder, struct text id, const char *name)
{
    int listing = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listing < 0 ? NULL : fdopendir(listing);

    if (entries == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (belongs_to(entry->d_name, id) && strcmp(entry->d_name, name) != 0)
            remove_tree(folder, entry->d_name, 0);
    (void)closedir(entries);
}
