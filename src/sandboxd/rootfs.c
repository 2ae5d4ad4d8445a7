/*
 * rootfs: see the header.  The work is done by a child process, the builder, which exits when the namespace is
 * complete.
 *
 * Sources (sandbox/image_layers.h) are opened before anything is mounted, never through a symbolic link below
 * the images folder, and mounted by descriptor, so that no path is resolved twice.
 */
#include "sandboxd/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/image_layers.h"
#include "base/packet.h"
#include "sandboxd/exec_cache.h"
#include "sandboxd/proc_files.h"

/* Where the new root is assembled.  Any folder will do: the mount is visible only in the builder's namespace. */
#define NEW_ROOT "/tmp"

/* Top-level names of an image that are never attached. */
static const char *const excluded[] = { "dev",   "proc", "sys",  "tmp",  "box", "run",        "mnt",
                                        "media", "boot", "root", "home", "srv", "lost+found", "prepared" };

struct build {
    struct layers source; /* the image's layers, topmost first; one for a plain folder */
    int prepared;         /* the folder made by `evalx prepare`, or -1 */
    int empty;            /* an empty folder of the new root */
    int mask;             /* the layer that hides parts of what is attached, or -1 */
    int cache_dir;
    int meminfo;
    bool is_host;
    struct error *err;
};

static int fail(struct build *b, const char *what, const char *name)
{
    return error_set(b->err, ERROR_SANDBOX, errno, "%s %s", what, name);
}

static int write_file(struct build *b, const char *path, const char *content)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0 || write(fd, content, strlen(content)) < 0)
        return fail(b, "write", path);
    return 0;
}

/* Copies a file such as ld.so.cache.  A bind mount would share its inode, and so its locks, with other boxes. */
static int copy_file(struct build *b, int dir, const char *name, const char *target)
{
    auto_close int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    auto_close int to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (from < 0 || to < 0)
        return fail(b, "copy", name);
    ssize_t sent;
    while ((sent = sendfile(to, from, NULL, 1 << 20)) != 0)
        if (sent < 0)
            return fail(b, "copy", name);
    return 0;
}

/* A read-only bind mount, if kernel or file system do not support overlays.  Boxes then share locks on its files. */
static int bind_folder(struct build *b, int dir, const char *name, const char *target)
{
    auto_close int tree = open_tree(
        dir, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
    if (tree < 0)
        return fail(b, "open", name);
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                               .propagation = MS_PRIVATE };
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
        return fail(b, "make read-only", name);
    if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail(b, "attach", target);
    return 0;
}

/*
 * Opens the folder `name` of each layer that has one, up to the first layer in which the name is not a folder.  Formats
 * the overlay's mount options.
 */
static int open_lowers(struct build *b, const struct layers *from, const char *name, struct layers *ret_lowers,
                       char *options, size_t options_size)
{
    size_t len = (size_t)snprintf(options, options_size, "lowerdir=");
    int mask = b->mask < 0 ? -1 : openat(b->mask, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (mask >= 0) {
        ret_lowers->fds[ret_lowers->len++] = mask;
        len += (size_t)snprintf(options + len, options_size - len, "/proc/self/fd/%d:", mask);
    }
    for (size_t i = 0; i < from->len; i++) {
        int lower = openat(from->fds[i], name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (lower < 0 && errno == ENOENT)
            continue;
        if (lower < 0 && ret_lowers->len > 0 && (errno == ENOTDIR || errno == ELOOP))
            break;
        if (lower < 0)
            return fail(b, "open", name);
        ret_lowers->fds[ret_lowers->len++] = lower;
        len += (size_t)snprintf(options + len, options_size - len, "/proc/self/fd/%d:", lower);
    }
    /* An overlay without an upper layer needs two lower ones, so an empty folder is added. */
    (void)snprintf(options + len, options_size - len, "/proc/self/fd/%d", b->empty);
    return 0;
}

/*
 * Mounts the folder `name` of the layers read-only at `target`, through an overlay.  Its inodes then belong to this
 * slot alone, so that no lock, lease or inotify watch on a shared file tells one box about another.  The files' pages
 * remain shared.
 */
static int attach_folder(struct build *b, const struct layers *from, const char *name, const char *target)
{
    struct layers lowers = { .len = 0 };
    char options[16 + (IMAGE_LAYERS_MAX + 1) * 32];
    int result = open_lowers(b, from, name, &lowers, options, sizeof options);
    if (result == 0 && mkdir(target, 0755) < 0)
        result = fail(b, "make", target);
    if (result == 0 && mount("overlay", target, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options) < 0) {
        bool is_unsupported = errno == ENODEV || errno == EINVAL || errno == EPERM;
        bool is_single = lowers.len == 1 || b->is_host; /* a bind mount shows all of the host's folder */
        result = is_unsupported && is_single ? bind_folder(b, from->fds[0], name, target) : fail(b, "attach", target);
    }
    image_layers_close(&lowers);
    return result;
}

/* Attaches the entry `name`, which the topmost layer has. */
static int attach_entry(struct build *b, const struct layers *from, const char *name, const char *target)
{
    int dir = from->fds[0];
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : fail(b, "stat", name);
    if (S_ISLNK(st.st_mode)) {
        char link[256];
        ssize_t len = readlinkat(dir, name, link, sizeof link - 1);
        if (len < 0)
            return fail(b, "read link", name);
        link[len] = '\0';
        return symlink(link, target) < 0 ? fail(b, "link", target) : 0;
    }
    if (S_ISDIR(st.st_mode))
        return attach_folder(b, from, name, target);
    return S_ISREG(st.st_mode) ? copy_file(b, dir, name, target) : 0;
}

static bool is_excluded(const char *name)
{
    for (size_t i = 0; i < sizeof excluded / sizeof *excluded; i++)
        if (strcmp(name, excluded[i]) == 0)
            return true;
    return false;
}

static bool matches(const char *const patterns[], const char *name)
{
    size_t i = 0;
    while (patterns[i] != NULL && fnmatch(patterns[i], name, 0) != 0)
        i++;
    return patterns[i] != NULL;
}

/* Attaches the wanted entries of the topmost layer below NEW_ROOT/prefix, unless they exist there. */
static int attach_entries(struct build *b, const struct layers *from, const char *prefix,
                          bool (*wanted)(const char *name))
{
    int listing = openat(from->fds[0], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listing < 0 ? NULL : fdopendir(listing);
    if (entries == NULL)
        return fail(b, "list", prefix);
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || !wanted(entry->d_name))
            continue;
        char target[sizeof NEW_ROOT + 300];
        struct stat st;
        (void)snprintf(target, sizeof target, NEW_ROOT "%s/%s", prefix, entry->d_name);
        if (lstat(target, &st) < 0) /* otherwise a higher layer had it */
            result = attach_entry(b, from, entry->d_name, target);
    }
    (void)closedir(entries);
    return result;
}

static int attach_layers(struct build *b, bool (*wanted)(const char *name))
{
    for (size_t i = 0; i < b->source.len; i++) {
        struct layers from = { .len = b->source.len - i };
        memcpy(from.fds, b->source.fds + i, from.len * sizeof *from.fds);
        if (attach_entries(b, &from, "", wanted) < 0)
            return -1;
    }
    return 0;
}

static bool wanted_of_host(const char *name)
{
    return strcmp(name, "usr") == 0 || strcmp(name, "bin") == 0 || strcmp(name, "sbin") == 0 ||
           strncmp(name, "lib", 3) == 0;
}

static bool wanted_of_host_etc(const char *name)
{
    return matches(image_host_etc, name);
}

static bool wanted_of_image(const char *name)
{
    return !is_excluded(name);
}

/*
 * Hides entries of a folder of the host: those that match the patterns, or all others.  The mask is the top layer of
 * the folder's overlay, and a device 0:0 in it hides what the layers below have under its name.
 */
static int hide_entries(struct build *b, const char *folder, const char *const patterns[], bool hides_others)
{
    if (mkdirat(b->mask, folder, 0755) < 0)
        return fail(b, "make", folder);
    auto_close int target = openat(b->mask, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int listing = openat(b->source.fds[0], folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = listing < 0 ? NULL : fdopendir(listing);
    if (entries == NULL) /* not there, or a link into a folder that has a mask of its own */
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail(b, "list", folder);
    int result = target < 0 ? fail(b, "open", folder) : 0;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(entries)) != NULL) {
        bool is_dot = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!is_dot && matches(patterns, entry->d_name) != hides_others &&
            mknodat(target, entry->d_name, S_IFCHR, makedev(0, 0)) < 0)
            result = fail(b, "hide", entry->d_name);
    }
    (void)closedir(entries);
    return result;
}

/* "lib" is a folder of its own where /usr is not merged. */
static int make_mask(struct build *b)
{
    if (mkdir(NEW_ROOT "/.mask", 0700) < 0)
        return fail(b, "make", NEW_ROOT "/.mask");
    b->mask = open(NEW_ROOT "/.mask", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (b->mask < 0)
        return fail(b, "open", NEW_ROOT "/.mask");
    if (hide_entries(b, "usr", image_host_usr, true) < 0 || hide_entries(b, "usr/share", image_host_share, true) < 0 ||
        hide_entries(b, "usr/share/nodejs", image_host_nodejs, true) < 0 ||
        hide_entries(b, "usr/lib", image_host_lib_hidden, false) < 0)
        return -1;
    return hide_entries(b, "lib", image_host_lib_hidden, false);
}

static int fill_host_etc(struct build *b)
{
    if (mkdir(NEW_ROOT "/etc", 0755) < 0)
        return fail(b, "make", NEW_ROOT "/etc");
    auto_close int etc = openat(b->source.fds[b->source.len - 1], "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (etc < 0)
        return fail(b, "open", "/etc");
    struct layers from = { .fds = { etc }, .len = 1 };
    if (attach_entries(b, &from, "/etc", wanted_of_host_etc) < 0)
        return -1;
    static const char users[] = "root:x:0:0:root:/:/usr/sbin/nologin\nbox:x:1000:1000:box:/box:/bin/sh\n";
    if (write_file(b, NEW_ROOT "/etc/passwd", users) < 0 ||
        write_file(b, NEW_ROOT "/etc/group", "root:x:0:\nbox:x:1000:\n") < 0 ||
        write_file(b, NEW_ROOT "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n") < 0 ||
        write_file(b, NEW_ROOT "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n") < 0)
        return -1;
    return 0;
}

static int fill_dev(struct build *b)
{
    static const struct {
        const char *path;
        unsigned minor;
    } nodes[] = { { NEW_ROOT "/dev/null", 3 },
                  { NEW_ROOT "/dev/zero", 5 },
                  { NEW_ROOT "/dev/full", 7 },
                  { NEW_ROOT "/dev/random", 8 },
                  { NEW_ROOT "/dev/urandom", 9 } };
    static const char *const links[][2] = { { "/proc/self/fd", NEW_ROOT "/dev/fd" },
                                            { "/proc/self/fd/0", NEW_ROOT "/dev/stdin" },
                                            { "/proc/self/fd/1", NEW_ROOT "/dev/stdout" },
                                            { "/proc/self/fd/2", NEW_ROOT "/dev/stderr" } };

    if (mkdir(NEW_ROOT "/dev", 0755) < 0 ||
        mount("tmpfs", NEW_ROOT "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k,nr_inodes=64") < 0)
        return fail(b, "mount", "/dev");
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (mknod(nodes[i].path, S_IFCHR | 0666, makedev(1, nodes[i].minor)) < 0 || chmod(nodes[i].path, 0666) < 0)
            return fail(b, "make device", nodes[i].path);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            return fail(b, "link", links[i][1]);
    if (mkdir(NEW_ROOT "/dev/shm", 0755) < 0)
        return fail(b, "make", "/dev/shm");
    if (mount(NULL, NEW_ROOT "/dev", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) < 0)
        return fail(b, "make read-only", "/dev");
    return 0;
}

static int attach_prepared(struct build *b)
{
    struct layers from = { .fds = { b->prepared }, .len = 1 };
    return b->prepared < 0 ? 0 : attach_folder(b, &from, ".", NEW_ROOT IMAGE_LAYERS_PREPARED_AT);
}

/* For exec_cache.h.  Huge pages, if the kernel has them, are copied and mapped faster. */
static int mount_exec_cache(struct build *b)
{
    static const char options[] = "mode=0700,size=64m,nr_inodes=16,huge=within_size";
    static const char without[] = "mode=0700,size=64m,nr_inodes=16";
    const unsigned long flags = MS_NOSUID | MS_NODEV;
    if (mkdir(NEW_ROOT EXEC_CACHE_CLOSED, 0700) < 0 || mkdir(NEW_ROOT EXEC_CACHE_FOLDER, 0700) < 0)
        return fail(b, "make", EXEC_CACHE_FOLDER);
    if (mount("tmpfs", NEW_ROOT EXEC_CACHE_FOLDER, "tmpfs", flags, options) < 0 &&
        mount("tmpfs", NEW_ROOT EXEC_CACHE_FOLDER, "tmpfs", flags, without) < 0)
        return fail(b, "mount", EXEC_CACHE_FOLDER);
    b->cache_dir = open(NEW_ROOT EXEC_CACHE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return b->cache_dir < 0 ? fail(b, "open", EXEC_CACHE_FOLDER) : 0;
}

static int assemble(struct build *b)
{
    if (mount("tmpfs", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=16m,nr_inodes=4096") < 0)
        return fail(b, "mount", "the new root");
    if (mkdir(NEW_ROOT "/.empty", 0555) < 0)
        return fail(b, "make", NEW_ROOT "/.empty");
    b->empty = open(NEW_ROOT "/.empty", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (b->empty < 0)
        return fail(b, "open", NEW_ROOT "/.empty");
    if (b->is_host && make_mask(b) < 0)
        return -1;
    if (attach_layers(b, b->is_host ? wanted_of_host : wanted_of_image) < 0)
        return -1;
    cleanup_close(&b->mask);
    b->mask = -1;
    if (b->is_host && fill_host_etc(b) < 0)
        return -1;
    static const char *const folders[] = { NEW_ROOT "/proc", NEW_ROOT "/box", NEW_ROOT "/tmp", NEW_ROOT "/.run" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdir(folders[i], 0755) < 0)
            return fail(b, "make", folders[i]);
    if (mount_exec_cache(b) < 0 || fill_dev(b) < 0 || attach_prepared(b) < 0)
        return -1;
    errno = proc_files_make(NEW_ROOT, &b->meminfo);
    if (errno != 0)
        return fail(b, "make", "the files of /proc");

    if (chdir(NEW_ROOT) < 0)
        return fail(b, "enter", NEW_ROOT);
    /* With the same path twice the old root is stacked on the new one and can be unmounted (pivot_root(2), NOTES). */
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return error_set(b->err, ERROR_SETUP, errno,
                         "pivot_root (evalx cannot sandbox inside a chroot: run it in a container with its own "
                         "root mount, or on the host)");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return fail(b, "unmount", "the old root");
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
        return fail(b, "make read-only", "/");
    return 0;
}

/* The builder process.  Sends the error, or the descriptors of struct image. */
static _Noreturn void run_builder(const char *images_folder, const char *name, int answer)
{
    struct error err = { 0 };
    struct build b = { .prepared = -1,
                       .empty = -1,
                       .mask = -1,
                       .cache_dir = -1,
                       .meminfo = -1,
                       .is_host = strcmp(name, "host") == 0,
                       .err = &err };
    int mount_ns = -1;
    int result = 0;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        result = error_set(&err, ERROR_SETUP, errno, "make a mount namespace (is CAP_SYS_ADMIN missing?)");
    if (result == 0) {
        mount_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (mount_ns < 0)
            result = error_set(&err, ERROR_SETUP, errno, "open /proc/self/ns/mnt (is /proc mounted?)");
    }
    if (result == 0) {
        bool opened = image_layers_open(images_folder, name, &b.source, &err) == 0 &&
                      image_layers_open_prepared(images_folder, name, &b.prepared, &err) == 0;
        result = opened ? assemble(&b) : -1;
    }
    const int made[] = { mount_ns, b.cache_dir, b.meminfo };
    (void)packet_send(answer, &err, sizeof err, result == 0 ? made : NULL, result == 0 ? 3 : 0);
    _exit(0);
}

int rootfs_check(const char *images_folder, const char *name, struct error *err)
{
    struct layers layers;
    auto_close int prepared = -1;
    if (image_layers_open(images_folder, name, &layers, err) < 0)
        return -1;
    image_layers_close(&layers);
    return image_layers_open_prepared(images_folder, name, &prepared, err);
}

int rootfs_build(const char *images_folder, struct image *image, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "socketpair");
    pid_t builder = fork();
    if (builder == 0) {
        (void)close(pair[0]);
        run_builder(images_folder, image->name, pair[1]);
    }
    (void)close(pair[1]);
    if (builder < 0) {
        (void)close(pair[0]);
        return error_set(err, ERROR_SANDBOX, errno, "fork the image builder");
    }
    struct error answer;
    int made[3];
    size_t fds = 0;
    int got = packet_receive(pair[0], &answer, sizeof answer, made, 3, &fds, 0);
    (void)close(pair[0]);
    while (waitpid(builder, NULL, 0) < 0 && errno == EINTR)
        ;
    if (got != 1)
        return error_set(err, ERROR_SANDBOX, got < 0 ? errno : 0, "the builder of image %s ended without an answer",
                         image->name);
    if (fds != 3) {
        *err = answer;
        return error_within(err, "image %s", image->name);
    }
    image->mount_ns = made[0];
    image->cache_dir = made[1];
    image->meminfo = made[2];
    return 0;
}
