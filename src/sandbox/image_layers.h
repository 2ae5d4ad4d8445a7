/*
 * image_layers: the folders that make up a read-only image.
 *
 * An image NAME is either a folder NAME in the images folder, or a file NAME.layers there.  The file lists folders of
 * .layers/, one a line, the bottom one first:
 *
 *   bookworm_20261125213000
 *   gcc-12_20261125213340
 *
 * Files that several images share are stored once.  The image "host" consists of folders of this machine, see below.
 *
 * Files that `evalx prepare` made for an image (sandbox/prepared.h) are in .prepared/NAME/ of the images folder.  Every
 * run in the image sees them as /prepared.
 *
 * No path below the images folder is followed through a symbolic link.  The file, the folders it names and
 * .prepared/NAME must belong to root (or to the caller, for tests without root) and be writable by nobody else, because
 * they become the root of every run.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"

#define IMAGE_LAYERS_MAX 8
#define IMAGE_LAYERS_BYTES_MAX 2048          /* of the file */
#define IMAGE_LAYERS_PREPARED ".prepared"    /* below the images folder */
#define IMAGE_LAYERS_PREPARED_AT "/prepared" /* in an image */

/*
 * What programs in the image "host" see of this machine, as patterns of fnmatch(3) for names.  Everything else is
 * hidden; in /usr/lib, what the last list names.  NULL ends each list.
 */
extern const char *const image_host_usr[], *const image_host_share[], *const image_host_etc[];
extern const char *const image_host_lib_hidden[], *const image_host_nodejs[];

struct layers {
    int fds[IMAGE_LAYERS_MAX]; /* O_PATH, the top one first */
    size_t len;
    char names[IMAGE_LAYERS_BYTES_MAX + 1]; /* the text of NAME.layers; empty without such a file */
};

/* -1 with ERROR_SETUP if the image does not exist or is not safe to use; nothing is open then. */
int image_layers_open(const char *images_folder, const char *image, struct layers *ret, struct error *err);
void image_layers_close(struct layers *layers);

/* Whether the absolute path exists in the image.  A symbolic link is resolved within its layer. */
bool image_layers_have(const struct layers *layers, const char *path);
bool image_layers_stat(const struct layers *layers, const char *path, struct stat *ret);

/* Opens the folder of the image's prepared files (O_PATH); *ret_fd is -1 if there is none. */
int image_layers_open_prepared(const char *images_folder, const char *image, int *ret_fd, struct error *err);
