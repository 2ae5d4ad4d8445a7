/*
 * shelf: the program of a slot's last runs, laid out once for those that follow.
 *
 * A compiled program is copied into its box page by page; of a static one that is most of what its box costs.  Where
 * two requests in a row bring the same bundle, the slot puts the largest executable in it on a shelf: a tmpfs beside
 * the image that only root may enter.  The boxes it then makes ahead have the file from there, as a read-only
 * mount of this one file; it is there without a copy, as the image's own files are, and no run can change it.
 * One program a slot; another takes its place.
 *
 * The same bundle: the same file, which is kept open so that no other can take its number, and unchanged since.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "sandbox/archive.h"
#include "sandboxd/rootfs.h"

/*
 * In a folder that is closed too, so that no run can ask how full it is; and each program has the same name there, as
 * a box's list of mounts tells it.
 */
#define EXEC_CACHE_CLOSED "/.closed"
#define EXEC_CACHE_FOLDER EXEC_CACHE_CLOSED "/shelf"
#define EXEC_CACHE_NAME "program"
/*
 * A box with the wrong program in it is lost: 1.2 ms of a processor.  Of twenty tests over two slots that happens to
 * one run in ten; so the copy that is saved (0.4 us a KiB and more) must take more than a tenth of that.
 */
#define EXEC_CACHE_FILE_BYTES_MIN (256u << 10)
/* Two of these fit: the one before may still be in a box. */
#define EXEC_CACHE_ARCHIVE_BYTES_MAX (32u << 20)
#define EXEC_CACHE_FILES_LOOKED_AT 64u

struct exec_cache {
    int archive; /* of the last request, or -1 */
    struct stat seen;
    bool again;                /* the one before had it too */
    bool refused;              /* it does not go on a shelf */
    uint64_t number;           /* of the file that is there; 0: none is */
    const struct image *image; /* beside this one */
    uint64_t size;
    char name[ARCHIVE_NAME_MAX + 1]; /* in the box */
    uint64_t last;                   /* number given */
};

void exec_cache_init(struct exec_cache *exec_cache);
/* A request has come, with this bundle or without one (-1); the caller keeps it. */
void exec_cache_see(struct exec_cache *exec_cache, int archive);
/* Of the program that is beside this image, or 0. */
uint64_t exec_cache_number(const struct exec_cache *exec_cache, const struct image *image);
/* Puts the program of the last two requests beside this image, if it is not there.  Its number, or 0: there is none. */
uint64_t exec_cache_offer(struct exec_cache *exec_cache, const struct image *image);
