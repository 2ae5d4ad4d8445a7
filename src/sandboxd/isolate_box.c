/* isolate_box: see the header. */
#include "sandboxd/isolate_box.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/archive.h"
#include "sandboxd/child_setup.h"
#include "sandboxd/init_process.h"

#define PATH_BYTES (ISOLATE_PATH_BYTES + 16)

int isolate_box_setup(struct error *err)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make mount and uts namespaces");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "make the slot's mounts private");
    if (sethostname("box", 3) < 0) /* isolate leaves the program in the uts namespace it was started in */
        return error_set(err, ERROR_SANDBOX, errno, "set the host name");
    if (mount("tmpfs", ISOLATE_MOUNTS, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=1m,nr_inodes=512") < 0)
        return error_set(err, ERROR_SANDBOX, errno, "mount a tmpfs on %s", ISOLATE_MOUNTS);
    return 0;
}

/* Clones the image's mounts, which stay in their own namespace, as a detached tree. */
static int clone_tree(int mount_ns, struct error *err)
{
    auto_close int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (own < 0 || setns(mount_ns, CLONE_NEWNS) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "enter the image");
    int tree = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    int os = errno;
    if (setns(own, CLONE_NEWNS) < 0) {
        os = errno;
        if (tree >= 0)
            (void)close(tree);
        tree = -1;
    }
    return tree >= 0 ? tree : error_set(err, ERROR_SANDBOX, os, "copy the image's mounts");
}

int isolate_box_attach(const char *images_folder, struct image *image, struct error *err)
{
    if (image->mount_ns >= 0)
        return 0;
    struct image built = *image;
    if (rootfs_build(images_folder, &built, err) < 0)
        return -1;
    auto_close int mount_ns = built.mount_ns;
    cleanup_close(&built.cache_dir); /* only native boxes use this and the next */
    cleanup_close(&built.meminfo);
    auto_close int tree = clone_tree(mount_ns, err);
    if (tree < 0)
        return -1;
    char path[sizeof ISOLATE_MOUNTS + 1 + CONTROL_IMAGE_BYTES];
    (void)snprintf(path, sizeof path, ISOLATE_MOUNTS "/%s", image->name);
    if ((mkdir(path, 0755) < 0 && errno != EEXIST) || move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "attach image %s at %s", image->name, path);
    image->mount_ns = take_fd(&mount_ns);
    return 0;
}

static void path_in(const char *folder, const char *name, char ret[PATH_BYTES])
{
    (void)snprintf(ret, PATH_BYTES, "%s/%s", folder, name);
}

/* The folder is below isolate's box_root, in which only root may write, so the paths can be trusted. */
int isolate_box_open(const char folder[ISOLATE_PATH_BYTES], uint64_t disk_bytes, struct error *err)
{
    char tmp[PATH_BYTES], files[PATH_BYTES], box[PATH_BYTES], options[96];
    path_in(folder, "tmp", tmp);
    path_in(folder, "tmp/.box", files); /* isolate creates the folders of its rule "tmp" beside it */
    path_in(folder, "box", box);
    (void)snprintf(options, sizeof options, "mode=0755,size=%" PRIu64 ",nr_inodes=%d", disk_bytes, BOX_INODES);
    if (mkdir(tmp, 0755) < 0 || mount("tmpfs", tmp, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "mount the box's disk on %s", tmp);
    if (mkdir(files, 0755) < 0 || mount(files, box, NULL, MS_BIND, NULL) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "mount the box's disk on %s", box);
    return 0;
}

void isolate_box_close(const char folder[ISOLATE_PATH_BYTES])
{
    char path[PATH_BYTES];
    path_in(folder, "box", path);
    (void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
    path_in(folder, "tmp", path);
    (void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
}

static uint64_t files_us;

void isolate_box_forget_files(void)
{
    files_us = 0;
}

uint64_t isolate_box_files_us(void)
{
    return files_us;
}

/*
 * Unpacks or packs in a child with root's user id and no capability.  isolate makes root the owner of the files while
 * no program runs.  As with the native backend, a mode that denies the owner access denies it here.
 */
static int in_child(const char *folder, int archive, uint64_t bytes_max, bool into_box)
{
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child == 0) {
        char path[PATH_BYTES];
        path_in(folder, "box", path);
        int box = open(path, (into_box ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int os = box < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? errno : child_drop_capabilities();
        if (os == 0)
            os = into_box ? archive_unpack(archive, box) : archive_pack(box, archive, bytes_max);
        _exit(os);
    }
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR)
            return errno;
    files_us += (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

int isolate_box_unpack(const char folder[ISOLATE_PATH_BYTES], int archive)
{
    return in_child(folder, archive, 0, true);
}

int isolate_box_pack(const char folder[ISOLATE_PATH_BYTES], int keep, uint64_t bytes_max)
{
    return in_child(folder, keep, bytes_max, false);
}
