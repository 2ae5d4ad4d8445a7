/*
 * submission: what a client sends: programs and their tests, and the states it goes through.
 *
 * A batch is usually one program with many tests, compiled once.  Elements that name another program
 * become further programs of the same submission.  Results keep the order of `tests`.
 * Everything a submission points to lives in its arena and dies with it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/language.h"
#include "model/limits.h"
#include "model/token.h"
#include "run/run.h"

/* As clients see it; submission_state_name gives "Queued", "Processing", "Completed", "Failed". */
enum submission_state {
    SUBMISSION_QUEUED,
    SUBMISSION_PROCESSING,
    SUBMISSION_COMPLETED, /* every test has a result, whatever it is */
    SUBMISSION_FAILED,    /* evalx could not run it, or it was cancelled; the reason is kept */
    SUBMISSION_STATE_COUNT_,
};
const char *submission_state_name(enum submission_state state);
static inline bool submission_state_is_final(enum submission_state state)
{
    return state == SUBMISSION_COMPLETED || state == SUBMISSION_FAILED;
}

enum submission_priority { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW, PRIORITY_COUNT_ };
const char *submission_priority_name(enum submission_priority priority);

/* Names of files (struct file): 1..200 bytes of UTF-8, no NUL, no backslash, no leading or doubled '/', no "." or ".." part, at most 8 parts. */
bool file_name_is_valid(struct text name);

struct program {
    const struct language *language;
    struct text version; /* as the client wrote it */
    struct file *files;  /* files[0] is the main source, named by the language */
    size_t files_len;
};

struct test {
    uint32_t program; /* index into submission.programs */
    uint32_t element; /* which element of the request */
    uint32_t index;   /* which of the element's tests[]; 0 where it has none */
    struct text input;
    struct text *args; /* each ends in NUL */
    size_t args_len;
    bool has_expected;
    struct text expected;
    bool wants_base64; /* the client asked for output as base64 too */
    struct limits limits;
};

struct submission {
    char token[TOKEN_BYTES];
    uint64_t created_ms; /* wall clock */
    enum submission_priority priority;
    bool fresh;         /* nothing comes from a cache, and nothing of it is kept in one */
    bool cache_results; /* a run that would go the same way again may be one that went before */
    struct program *programs;
    size_t programs_len;
    struct test *tests;
    size_t tests_len;
    struct arena arena;
};

void submission_done(struct submission *submission);

/* The queue it waits in: the language's id, or "mixed" where its programs are in several languages. */
struct text submission_queue(const struct submission *submission);
#define QUEUE_MIXED "mixed"
