/*
 * exec_cache: the executable of a slot's last runs, stored once and bind-mounted into the boxes of those that follow.
 *
 * A compiled program is copied into its box page by page, which is most of the cost of a box with a static program.  If
 * two requests in a row bring the same archive, the slot stores the largest executable in it on a tmpfs beside the
 * image that only root may enter.  Standby boxes made afterwards have a read-only mount of this one file.  No run can
 * change it, just as no run can change the image's files.  A slot caches one executable; the next replaces it.
 *
 * An archive is the same if it is the same file, unchanged.  Clients that do not share caches have files of their own,
 * also of equal programs (worker/cache_key.h).  The cache keeps the file open, so that its inode number
 * cannot be reused.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "sandbox/archive.h"
#include "sandboxd/rootfs.h"

/*
 * The tmpfs is below a root-only folder, so that no run can statfs() it and see how full it is.  The file name is
 * constant, because /proc/self/mountinfo shows it.
 */
#define EXEC_CACHE_CLOSED "/.closed"
#define EXEC_CACHE_FOLDER EXEC_CACHE_CLOSED "/exec"
#define EXEC_CACHE_NAME "program"
/*
 * A standby box with the wrong executable is lost, which costs 1.2 ms of CPU time.  When twenty tests are spread over
 * two slots, one run in ten loses its box.  So the copy that is saved (0.4 us per KiB or more) must cost more than a
 * tenth of that.
 */
#define EXEC_CACHE_FILE_BYTES_MIN (256u << 10)
/* The tmpfs has room for two: the previous executable may still be mounted in a box. */
#define EXEC_CACHE_ARCHIVE_BYTES_MAX (32u << 20)
#define EXEC_CACHE_ENTRIES_MAX 64u /* entries of an archive that are examined */

struct exec_cache {
    int archive; /* of the last request, or -1 */
    struct stat seen;
    bool repeated;             /* the request before had the same archive */
    bool rejected;             /* no executable of this archive can be cached */
    uint64_t number;           /* of the cached executable; 0: none */
    const struct image *image; /* the image beside which it is stored */
    uint64_t size;
    char name[ARCHIVE_NAME_MAX + 1]; /* in the box */
    uint64_t last_number;
};

/* Are these of the same archive, unchanged? */
bool exec_cache_is_same(const struct stat *a, const struct stat *b);

void exec_cache_init(struct exec_cache *cache);
/* Takes note of a request's archive (-1: none), which remains the caller's. */
void exec_cache_see(struct exec_cache *cache, int archive);
/* The number of the executable that is stored beside this image, or 0. */
uint64_t exec_cache_number(const struct exec_cache *cache, const struct image *image);
/* Stores the executable of the last two requests beside this image, unless it is there.  Its number, or 0 if none. */
uint64_t exec_cache_store(struct exec_cache *cache, const struct image *image);
