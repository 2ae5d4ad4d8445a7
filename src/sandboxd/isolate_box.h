/*
 * isolate_box: what stands around isolate's box: the slot's own mount namespace, images, the box's limited disk, its
 * files.
 *
 * isolate limits a box's disk by quotas, which few file systems have.  Here ./box and ./tmp of the box's folder are
 * covered by one tmpfs as large as the run's limit, in the slot's namespace only: the host's disk is not written to,
 * and when the slot is gone, so are the files.  Images are the native driver's own (image.h), attached below a folder
 * that only this namespace has; isolate binds their folders into the box.
 *
 * The host follows no path that a program controls: files go in before the first process of the program exists, and
 * come out when isolate has ended, which is after the last one has; both as unpack.h says, by a child without
 * capabilities.
 */
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "sandboxd/isolate_command.h"
#include "sandboxd/rootfs.h"

/* Where images are attached and the meta file is written: in the slot's namespace, hidden from the box. */
#define ISOLATE_NEW_ROOT "/mnt"
#define ISOLATE_META_PATH ISOLATE_NEW_ROOT "/.meta"

/* Mount and uts namespaces of the slot's own, and the stage in them. */
int isolate_box_setup(struct error *err);
/* Attaches the image at ISOLATE_NEW_ROOT/NAME, once. */
int isolate_box_attach(const char *images_folder, struct image *image, struct error *err);

/* Covers the fresh box's folders by a tmpfs of this size. */
int isolate_box_open(const char folder[ISOLATE_PATH_BYTES], uint64_t disk_bytes, struct error *err);
/* Lets go of it, and of all files in it.  Fine where nothing was covered. */
void isolate_box_close(const char folder[ISOLATE_PATH_BYTES]);

/* The bundle into ./box, and ./box into the bundle `keep`.  0 or errno. */
int isolate_box_unpack(const char folder[ISOLATE_PATH_BYTES], int archive);
int isolate_box_pack(const char folder[ISOLATE_PATH_BYTES], int keep, uint64_t bytes_max);
