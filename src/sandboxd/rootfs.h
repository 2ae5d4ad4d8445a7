/*
 * image: a read-only root, assembled once per slot in a mount namespace of its own, entered by every run there.
 *
 * A run joins the image's namespace by setns and takes a private copy of it (unshare), which costs some
 * microseconds, where building a root of bind mounts for each run costs hundreds.  Nothing of the host's tree is in
 * it but what image.c names: the namespace's root is a small tmpfs, read-only, pivoted into.
 *
 *   /usr, /bin, /lib..., /etc    of the image, read-only, nosuid, nodev
 *   /box /tmp /dev/shm           empty mount points; each run brings its own tmpfs
 *   /dev                         null zero full random urandom, and links to /proc/self/fd
 *   /proc                        empty mount point; each run mounts its own
 *   /.run /.closed/shelf         for root alone (stage.c, shelf.h)
 *   /prepared                    where there is one: what `evalx prepare` made for it, read-only, nosuid, nodev
 *
 * "host" is this machine's own /usr with a chosen few files of /etc; any other name is a folder below the images
 * folder, or a file there that names the layers to be put over one another (sandbox/image_layers.h).
 */
#pragma once
#include "base/error.h"
#include "sandbox/protocol.h"

struct image {
    char name[CONTROL_IMAGE_BYTES];
    int mount_ns;   /* the slot's namespace of it, kept by this descriptor; -1 until its first run there */
    int exec_cache; /* the folder /.closed/shelf there; -1 as long, or where there is none */
};

/* Is it there, and root's, with what was prepared for it? */
int rootfs_check(const char *images_folder, const char *name, struct error *err);

/* Forks a builder; fills image->mount_ns and image->shelf, which are the caller's.  Root side only. */
int rootfs_build(const char *images_folder, struct image *image, struct error *err);
