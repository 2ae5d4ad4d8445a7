/*
 * host_check: what this host offers a sandbox, read from /proc and /sys.  Nothing is changed, nothing is started.
 *
 * Each finding has a remedy: a command an operator can type.  OK findings have none.  Where evalx holds without what is
 * missing, it is a warning; MISSING means that a start fails or that a promise does not hold.
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
    char remedy[200]; /* empty where all is well */
};

/* Where to look. */
struct host_environment {
    const char *root; /* stands before /proc and /sys: "" for this host, a folder for tests */
    const char *data; /* the data folder's name, for words only */
    bool disk_known;  /* of the file system the data folder is (or will be) on */
    uint64_t disk_bytes_free, disk_inodes_free;
    uint64_t processes; /* that slots may have in all */
};

/* The file system `data` is on, or will be: the nearest folder above it that exists. */
void host_environment_disk(struct host_environment *host);

#define HOST_FINDINGS_MAX 40
/* Returns how many there are. */
size_t host_check(const struct host_environment *host, struct host_finding ret[HOST_FINDINGS_MAX]);
