/*
 * layers: the folders a read-only image is made of.
 *
 * An image NAME of the images folder is either one folder, NAME, or a file NAME.layers that names folders of
 * .layers/ there, one a line, the bottom one first:
 *
 *   bookworm_20261125213000
 *   gcc-12_20261125213340
 *
 * Files that several images have are so stored once.  "host" is this machine's own root.
 *
 * What languages prepared ahead for an image (sandbox/prepared.h) lies in .prepared/NAME/ there, and is seen as /prepared
 * by every run in it.
 *
 * No path is followed through a symbolic link below the images folder.  The file and the folders it names must belong
 * to root (or to the caller, for tests without root) and be writable by nobody else, and so must .prepared/NAME: what
 * they say becomes the root of every run.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"

#define IMAGE_LAYERS_MAX 8
#define IMAGE_LAYERS_PREPARED ".prepared"    /* below the images folder */
#define IMAGE_LAYERS_PREPARED_AT "/prepared" /* in an image */

struct layers {
    int fds[IMAGE_LAYERS_MAX]; /* O_PATH, the top one first */
    size_t len;
};

/* -1 with ERROR_SETUP where the image is not there or not as it must be; nothing is open then. */
int image_layers_open(const char *images_folder, const char *image, struct layers *ret, struct error *err);
void image_layers_close(struct layers *layers);

/* Is the absolute path there, as the image sees it?  A symbolic link is resolved within its layer. */
bool image_layers_have(const struct layers *layers, const char *path);
bool image_layers_stat(const struct layers *layers, const char *path, struct stat *ret);

/* The folder of what was prepared for the image (O_PATH); *ret_fd is -1 where nothing was. */
int image_layers_open_prepared(const char *images_folder, const char *image, int *ret_fd, struct error *err);
