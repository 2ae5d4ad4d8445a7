/*
 * decode_threads: decode large request bodies, which would block the HTTP thread for about 10 ms a megabyte.
 *
 * Shorter bodies go first, but a long one waits no longer than a second for shorter ones that came later.  One of the
 * threads takes no body above DECODE_LONG_BYTES, so that long ones delay only each other.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DECODE_LONG_BYTES (1u << 20)

struct decode_threads;

/* The first member of the caller's struct, which `run` takes over. */
struct decode_task {
    void (*run)(struct decode_task *task); /* on a thread */
    uint64_t due_us;                       /* set by decode_threads_add, as is_long */
    bool is_long;
    struct decode_task *next;
};

int decode_threads_open(struct decode_threads **ret, struct error *err);
/* `bytes`: the length of the body.  Any thread. */
void decode_threads_add(struct decode_threads *threads, struct decode_task *task, size_t bytes);
/* Runs the remaining tasks, then ends.  NULL is fine. */
void decode_threads_close(struct decode_threads *threads);
