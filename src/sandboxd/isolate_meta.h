/*
 * isolate_meta: parses isolate's meta file, "key:value" lines with the figures of a run (isolate(1)).
 *
 * Pure: it opens no file.  isolate writes the file as root where no program can reach it.  The parser trusts it no more
 * for that: a number that is malformed, out of range or repeated makes the whole file invalid.  Unknown keys are
 * skipped, because later versions of isolate add some.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

#define ISOLATE_META_BYTES_MAX (64u << 10)

enum isolate_status {
    ISOLATE_ENDED, /* no status line: exit code 0 */
    ISOLATE_RE,    /* exit code other than 0 */
    ISOLATE_SG,    /* killed by a signal */
    ISOLATE_TO,    /* a time limit was exceeded */
    ISOLATE_XX,    /* isolate itself failed; message explains */
};

struct isolate_meta {
    enum isolate_status status;
    bool has_exit_code, has_signal, killed, oom_killed;
    uint32_t exit_code, signal;
    uint64_t cpu_us, wall_us;
    uint64_t rss_bytes;   /* max-rss, of the largest process */
    uint64_t group_bytes; /* cg-mem, of all processes; 0 without --cg */
    char message[160];    /* printable ASCII, cut to fit */
};

/* ERROR_SANDBOX: names the invalid line. */
int isolate_meta_parse(struct text text, struct isolate_meta *ret, struct error *err);
