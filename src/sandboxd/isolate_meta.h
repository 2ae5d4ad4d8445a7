/*
 * isolate_meta: what isolate says about a run, from the text of its meta file ("key:value" lines, isolate(1)).
 *
 * Pure: no file is opened here.  The file is written by isolate as root where no program can reach it, and yet it is
 * read as if anybody had written it: a number that is none, does not fit or comes twice makes the whole file worthless.
 * Keys this build does not know are skipped, because later versions of isolate add some.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

#define ISOLATE_META_BYTES_MAX (64u << 10)

enum isolate_status {
    ISOLATE_ENDED, /* no status: the program exited with 0 */
    ISOLATE_RE,    /* exited with another code */
    ISOLATE_SG,    /* died of a signal */
    ISOLATE_TO,    /* timed out */
    ISOLATE_XX,    /* isolate itself failed: message says how */
};

struct isolate_meta {
    enum isolate_status status;
    bool has_exit_code, has_signal, killed, oom_killed;
    uint32_t exit_code, signal;
    uint64_t cpu_us, wall_us;
    uint64_t rss_bytes;   /* max-rss: of the largest process */
    uint64_t group_bytes; /* cg-mem: of all together; 0 where isolate keeps no control group */
    char message[160];    /* printable ASCII, cut to fit */
};

/* ERROR_SANDBOX names the line that makes no sense. */
int isolate_meta_parse(struct text text, struct isolate_meta *ret, struct error *err);
