/*
 * host_check: checks that this host can run the sandbox.  It only reads /proc and /sys; it changes and starts nothing.
 *
 * Each finding that is not OK has a remedy: a command that an operator can type.  HOST_WARN means that evalx works with
 * a disadvantage.  HOST_MISSING means that it cannot start, or that a run could escape one of its limits.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum host_state { HOST_OK, HOST_WARN, HOST_MISSING, HOST_STATE_COUNT_ };
const char *host_state_name(enum host_state state); /* "ok", "warn", "missing" */

struct host_finding {
    const char *name;
    enum host_state state;
    char seen[200];
    char remedy[200]; /* empty with HOST_OK */
};

struct host_environment {
    const char *root;  /* prefix of /proc and /sys: "" for this host, a folder in tests */
    const char *data;  /* name of the data folder, for messages only */
    bool has_landlock; /* of landlock_is_available */
    bool disk_known;   /* the two figures below are valid; see host_environment_disk */
    uint64_t disk_bytes_free, disk_inodes_free;
    uint64_t processes; /* that all slots together may have */
};

/* Fills in the disk figures: those of the file system of `data`, or of its nearest parent folder that exists. */
void host_environment_disk(struct host_environment *host);

#define HOST_FINDINGS_MAX 40
/* Returns the number of findings. */
size_t host_check(const struct host_environment *host, struct host_finding ret[HOST_FINDINGS_MAX]);
