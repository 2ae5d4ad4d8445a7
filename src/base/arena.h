/*
 * arena: many small allocations that are freed all at once.
 *
 * Beyond `max` bytes in total an allocation fails with ERROR_REQUEST, because arenas hold what a client sent.
 * Not thread-safe.
 */
#pragma once
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used; /* bytes allocated */
    size_t max;
};

void arena_init(struct arena *arena, size_t max);
void arena_done(struct arena *arena); /* also for a zeroed arena */
#define auto_arena __attribute__((cleanup(arena_done)))

/* Zeroed memory, aligned for any type.  Returns NULL with *err if the maximum is exceeded or memory is exhausted. */
void *arena_alloc(struct arena *arena, size_t bytes, struct error *err);
void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes_each, struct error *err);

/* Copies the text and adds a NUL byte, which len does not count. */
int arena_copy(struct arena *arena, struct text text, struct text *ret_copy, struct error *err);
