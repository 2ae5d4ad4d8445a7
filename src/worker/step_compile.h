/*
 * step_compile: the compile step of one program.  It runs the compiler in a sandbox slot, or takes the artifact from
 * the cache.  A language without a compiler gets an archive of its sources.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/hash.h"
#include "model/result.h"
#include "model/submission.h"
#include "sandbox/sandbox.h"

#define COMPILE_OUTPUT_BYTES_MAX (64u << 10)

struct artifact_cache;

struct compiled {
    bool ok;
    bool cached;
    int archive_fd; /* the files a run starts from: sources, or the compiler's products; -1 if !ok */
    uint64_t compile_us;
    struct run_stats stats; /* of the compiler's run */
    enum verdict verdict;   /* ACCEPTED if ok; else COMPILE_ERROR, INTERNAL_ERROR, or CANCELLED (sandbox_cancel) */
    struct buf output;      /* the compiler's stderr, then its stdout; at most COMPILE_OUTPUT_BYTES_MAX */
    bool output_cut;
    char message[160]; /* the reason of a failure that the compiler's output does not explain, or "" */
};

/* Nothing compiled yet.  compiled_done accepts it. */
void compiled_init(struct compiled *compiled);
void compiled_done(struct compiled *compiled);

/* Makes a program that has compiled a compile error, because its submission's programs take more than this together. */
void compiled_refuse(struct compiled *compiled, uint64_t mib_max);

/* A copy for another job whose program is equal.  False if descriptors or memory have run out. */
bool compiled_copy(const struct compiled *from, struct compiled *to);

/* The key of the program's artifact; "" if its language has no compiler. */
int step_compile_key(const struct submission *submission, const struct program *program, char ret_key[HASH_HEX_BYTES],
                     struct error *err);

/*
 * Takes the artifact from the cache, or compiles the program and puts the artifact into the cache.  `cache` may be
 * NULL; then `key` is ignored.  No other thread may call it with the same cache and key (flights.h).  A program that
 * does not compile, or to more than artifact_bytes_max (0: as much as the box holds), is a result, not an error.  After
 * ERROR_SANDBOX the step may be tried again.
 */
int step_compile(struct sandbox_slot *slot, struct artifact_cache *cache, const char *key, uint64_t artifact_bytes_max,
                 const struct program *program, struct compiled *ret, struct error *err);
