/*
 * arena: a list of blocks, of which the newest is filled.  A large allocation gets a block for itself behind the newest
 * one, so that the free space of the newest is not lost.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>

#define ALIGNMENT alignof(max_align_t)
#define BLOCK_BYTES_MIN ((size_t)4 << 10)
#define BLOCK_BYTES_MAX ((size_t)256 << 10)

struct arena_block {
    struct arena_block *next;
    size_t used, bytes;
    alignas(max_align_t) char at[];
};

void arena_init(struct arena *arena, size_t max)
{
    *arena = (struct arena){ .max = max };
}

void arena_done(struct arena *arena)
{
    struct arena_block *block = arena->blocks;

    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena_init(arena, arena->max);
}

static struct arena_block *block_new(size_t bytes, struct error *err)
{
    struct arena_block *block = calloc(1, sizeof *block + bytes);

    if (block == NULL) {
        (void)error_set(err, ERROR_BUSY, 0, "out of memory: cannot allocate %zu bytes", bytes);
        return NULL;
    }
    block->bytes = bytes;
    return block;
}

/* Finds or adds a block with room for `bytes`. */
static struct arena_block *block_for(struct arena *arena, size_t bytes, struct error *err)
{
    struct arena_block *newest = arena->blocks;

    if (newest != NULL && newest->bytes - newest->used >= bytes)
        return newest;

    size_t common = newest == NULL ? BLOCK_BYTES_MIN : newest->bytes * 2;
    if (common > BLOCK_BYTES_MAX)
        common = BLOCK_BYTES_MAX;
    bool own = bytes > common / 2;
    struct arena_block *block = block_new(own ? bytes : common, err);
    if (block == NULL)
        return NULL;
    if (own && newest != NULL) {
        block->next = newest->next;
        newest->next = block;
    } else {
        block->next = newest;
        arena->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes, struct error *err)
{
    size_t rounded;

    if (__builtin_add_overflow(bytes == 0 ? 1 : bytes, ALIGNMENT - 1, &rounded) ||
        (rounded &= ~(ALIGNMENT - 1), rounded > arena->max) || arena->used > arena->max - rounded) {
        (void)error_set(err, ERROR_REQUEST, 0, "more than the %zu bytes allowed in total", arena->max);
        return NULL;
    }
    struct arena_block *block = block_for(arena, rounded, err);
    if (block == NULL)
        return NULL;

    void *piece = block->at + block->used;
    block->used += rounded;
    arena->used += rounded;
    assert(block->used <= block->bytes);
    return piece;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes_each, struct error *err)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, bytes_each, &bytes)) {
        (void)error_set(err, ERROR_REQUEST, 0, "more than the %zu bytes allowed in total", arena->max);
        return NULL;
    }
    return arena_alloc(arena, bytes, err);
}

int arena_copy(struct arena *arena, struct text text, struct text *ret_copy, struct error *err)
{
    if (text.len == SIZE_MAX)
        return error_set(err, ERROR_REQUEST, 0, "more than the %zu bytes allowed in total", arena->max);
    char *at = arena_alloc(arena, text.len + 1, err);
    if (at == NULL)
        return -1;
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    *ret_copy = (struct text){ at, text.len };
    return 0;
}
