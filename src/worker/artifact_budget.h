/*
 * artifact_budget: the space that the compiled programs of this worker's jobs take, in memory and on the disk.
 *
 * A job keeps an archive (a memfd) for each program until it ends.  What would exceed the budget of memory is moved to
 * a file without a name in the data folder, which is read like the memfd.  An archive that several jobs use counts
 * once.
 *
 * The caller's lock guards all calls but artifact_budget_open and artifact_spill.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct artifact_hold;

struct artifact_budget {
    uint64_t memory_max, disk_max; /* bytes */
    uint64_t memory, disk;         /* taken */
    int folder_fd;                 /* where files are made; -1: nowhere */
    struct artifact_hold *first;
};

/* A missing folder means that nothing can be moved to the disk. */
void artifact_budget_open(struct artifact_budget *budget, const char *folder);
void artifact_budget_close(struct artifact_budget *budget);

/* The last quarter of each budget is for archives up to this size, so that large ones do not block all others. */
#define ARTIFACT_SMALL_BYTES (1u << 20)

enum artifact_room {
    ARTIFACT_FITS,  /* it was counted; artifact_budget_drop ends that */
    ARTIFACT_SPILL, /* the disk's share was counted: call artifact_spill, then artifact_budget_spilled */
    ARTIFACT_NO_ROOM,
};
/* Counts an archive, which the caller may keep only after ARTIFACT_FITS. */
enum artifact_room artifact_budget_take(struct artifact_budget *budget, int archive_fd, uint64_t *ret_bytes);
/* After ARTIFACT_SPILL: `file_fd` replaces the archive and is counted, or nothing is any longer if it is -1. */
void artifact_budget_spilled(struct artifact_budget *budget, int file_fd, uint64_t bytes);
/* Ends the count.  An archive that was never counted may be passed. */
void artifact_budget_drop(struct artifact_budget *budget, int archive_fd);

/* Copies the archive to a file that nobody can open again and only this descriptor reads. */
int artifact_spill(const struct artifact_budget *budget, int archive_fd, int *ret_file_fd, struct error *err);
