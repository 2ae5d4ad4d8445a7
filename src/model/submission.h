/*
 * submission: programs and their tests as a client sends them, and the states of a submission.
 *
 * A batch is usually one program with many tests, which is compiled once.  Elements that name another program add
 * programs to the same submission.  Results keep the order of `tests`.  All memory of a submission is in its arena.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/language.h"
#include "model/limits.h"
#include "model/token.h"
#include "run/run.h"

/* submission_state_name returns what clients see: "Queued", "Processing", "Completed", "Failed". */
enum submission_state {
    SUBMISSION_QUEUED,
    SUBMISSION_PROCESSING,
    SUBMISSION_COMPLETED, /* every test has a result */
    SUBMISSION_FAILED,    /* evalx could not run it, or it was cancelled; the reason is stored */
    SUBMISSION_STATE_COUNT_,
};
const char *submission_state_name(enum submission_state state);
static inline bool submission_state_is_final(enum submission_state state)
{
    return state == SUBMISSION_COMPLETED || state == SUBMISSION_FAILED;
}

enum submission_priority { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW, PRIORITY_COUNT_ };
const char *submission_priority_name(enum submission_priority priority);
/*
 * The order in which the `turn`th claim or step serves the priorities, an array of PRIORITY_COUNT_: high, normal, low;
 * but every 8th begins with low and every 4th with normal, so that nothing starves.
 */
const enum submission_priority *submission_priority_order(uint64_t turn);

/* What clients see: "none", "loopback". */
const char *run_network_name(enum run_network network);

/*
 * True for a name that a struct file may have: 1 to 200 bytes of UTF-8 without NUL or backslash, at most 8 parts
 * separated by single '/', no leading '/', and no part "." or "..".
 */
bool file_name_is_valid(struct text name);

/*
 * Writes the name without "." parts and without empty parts between two others: "./a//b" becomes "a/b".  A name that
 * begins or ends with '/', or ends with a part ".", names no file and stays invalid.  *ret has room for name.len
 * bytes; returns how many were written.
 */
size_t file_name_normalise(struct text name, char *ret);

#define CLIENT_NAME_BYTES 33 /* 1 to 32 characters, and NUL */
/* True for the name of a client: 1 to 32 characters a-z 0-9 _ . - */
bool client_name_is_valid(struct text name);

struct program {
    const struct language *language;
    struct text version; /* as the client wrote it */
    bool assertions;     /* the language's assertions are on (languages/README.md) */
    struct file *files;  /* files[0] is the main source, named by the language */
    size_t files_len;
};

struct test {
    uint32_t program; /* index into submission.programs */
    uint32_t element; /* index of the element in the request */
    uint32_t index;   /* which of the element's tests[]; 0 if it has none */
    struct text input;
    struct text *args; /* each ends in NUL */
    size_t args_len;
    bool has_expected;
    struct text expected;
    bool wants_base64; /* the client wants the output as base64, too */
    struct limits limits;
    enum run_network network;
};

struct submission {
    char token[TOKEN_BYTES];
    uint64_t created_ms; /* wall clock */
    enum submission_priority priority;
    char client[CLIENT_NAME_BYTES]; /* who sent it; "" without API keys */
    bool share_cache;               /* caches are shared with other clients that allow it, too */
    bool fresh;                     /* use no cache, neither to read nor to write */
    bool cache_results;             /* results of earlier, equal runs may be used */
    struct program *programs;
    size_t programs_len;
    struct test *tests;
    size_t tests_len;
    struct arena arena;
};

void submission_done(struct submission *submission);

/* The queue it waits in: the id of its language, or "mixed" if its programs are in several languages. */
struct text submission_queue(const struct submission *submission);
#define QUEUE_MIXED "mixed"

/*
 * Workers of an older version do not ask for queues of a newer one.  Submissions of version 1 wait in the queue of
 * their language, others in "LANGUAGE@VERSION".  The id of a variant also contains an '@', but a letter follows it.
 */
#define QUEUE_NAME_BYTES 72
void queue_name(struct text language, unsigned version, char ret[QUEUE_NAME_BYTES]);
/* The language of a queue, without the version. */
struct text queue_language(const char *queue);
