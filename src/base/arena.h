/*
 * arena: many small pieces of memory with one life, freed all at once (a submission's strings).
 * Bounded: beyond `max` bytes in total an allocation fails with ERROR_REQUEST, because what fills
 * an arena is what a client sent.  One owner, one thread at a time.
 */
#pragma once
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used; /* bytes handed out */
    size_t max;
};

void arena_init(struct arena *arena, size_t max);
void arena_done(struct arena *arena); /* accepts a zeroed arena */
#define auto_arena __attribute__((cleanup(arena_done)))

/* Zeroed memory, aligned for any type; NULL with *err filled when over the maximum or out of memory. */
void *arena_alloc(struct arena *arena, size_t bytes, struct error *err);
void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes_each, struct error *err);

/* A copy that ends in a NUL byte (not counted in len). */
int arena_copy(struct arena *arena, struct text text, struct text *ret_copy, struct error *err);
