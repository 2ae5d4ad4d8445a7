/*
 * isolate_box: what the slot adds around a box of isolate: a mount namespace, images, a disk limit, the files.
 *
 * isolate limits a box's disk by quotas, which few file systems have.  Instead, ./box and ./tmp of the box's folder are
 * covered by one tmpfs of the run's disk limit, in the slot's mount namespace only.  Nothing is written to the host's
 * disk, and the files are gone with the slot.  Images are assembled as for the native backend (rootfs.h) and attached
 * below a folder that only this namespace has.  isolate binds their folders into the box.
 *
 * The root side follows no path that a program controls.  Files are unpacked before the program's first process exists,
 * and packed after isolate, and so the program's last process, has ended.  A child without capabilities does both.
 */
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "sandboxd/isolate_command.h"
#include "sandboxd/rootfs.h"

/* The folder for attached images and the meta file: in the slot's mount namespace, not visible in the box. */
#define ISOLATE_MOUNTS "/mnt"
#define ISOLATE_META_PATH ISOLATE_MOUNTS "/.meta"

/* Unshares the mount and uts namespaces and mounts ISOLATE_MOUNTS. */
int isolate_box_setup(struct error *err);
/* Attaches the image at ISOLATE_MOUNTS/NAME, unless it has been attached. */
int isolate_box_attach(const char *images_folder, struct image *image, struct error *err);

/* Covers the folders of a new box by a tmpfs of this size. */
int isolate_box_open(const char folder[ISOLATE_PATH_BYTES], uint64_t disk_bytes, struct error *err);
/* Unmounts it, with all files in it.  Does nothing if nothing is mounted. */
void isolate_box_close(const char folder[ISOLATE_PATH_BYTES]);

/* Unpacks the archive into ./box; packs ./box into the archive `keep`.  0 or errno. */
int isolate_box_unpack(const char folder[ISOLATE_PATH_BYTES], int archive);
int isolate_box_pack(const char folder[ISOLATE_PATH_BYTES], int keep, uint64_t bytes_max);
/* CPU time of both since isolate_box_forget_files. */
uint64_t isolate_box_files_us(void);
void isolate_box_forget_files(void);
