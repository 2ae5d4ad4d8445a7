/*
 * rootfs: assembles an image into a read-only root in a mount namespace of its own, once per slot.
 *
 * Every run enters that namespace (setns) and makes a private copy of it (unshare), which takes some microseconds.
 * Making a root of bind mounts for each run would take hundreds.  The root is a small read-only tmpfs, entered by
 * pivot_root.  It contains nothing of the host's tree except what rootfs.c names:
 *
 *   /usr, /bin, /lib..., /etc    of the image, read-only, nosuid, nodev
 *   /box /tmp /dev/shm           empty mount points; each run mounts its own tmpfs (init_process.c)
 *   /dev                         null zero full random urandom, and links to /proc/self/fd
 *   /proc                        empty mount point; each run mounts its own
 *   /.run /.closed/exec /.proc   for root only (init_process.c, exec_cache.h, proc_files.h)
 *   /prepared                    what `evalx prepare` made for the image, if anything; read-only, nosuid, nodev
 *
 * "host" is folders of this machine's /usr and a few files of /etc (image_host_usr and the like).  Any other name is a
 * folder below the images folder, or a file there that lists the layers of the image (sandbox/image_layers.h).
 */
#pragma once
#include "base/error.h"
#include "sandbox/protocol.h"

struct image {
    char name[CONTROL_IMAGE_BYTES];
    int mount_ns;  /* the slot's mount namespace of the image; -1 until the slot's first run in it */
    int cache_dir; /* the folder /.closed/exec there (exec_cache.h); -1 until then */
    int meminfo;   /* the file that boxes have as /proc/meminfo (proc_files.h); -1 until then */
};

/* Checks that the image exists and that root owns it and what was prepared for it. */
int rootfs_check(const char *images_folder, const char *name, struct error *err);

/* Forks a builder.  Fills the descriptors of *image, which the caller closes. */
int rootfs_build(const char *images_folder, struct image *image, struct error *err);
