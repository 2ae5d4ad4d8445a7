/*
 * held: a submission this worker has a lease on, from its claim to the last word the store hears of it.
 *
 * Its work is a queue of steps.  First one compile step for each program; a program that has compiled adds the run
 * steps of its tests.  Steps are taken by slots, oldest submission first.  When no step is left or running, or the
 * submission has been given up, it goes to a finisher, which tells the store and frees it.
 *
 * Every function here is called with the worker's lock held, except job_new and job_free.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "model/result.h"
#include "model/submission.h"
#include "queue/queue.h"
#include "sandbox/sandbox.h"
#include "worker/step_compile.h"
#include "worker/step_run.h"

enum step_kind { STEP_COMPILE, STEP_RUN };

struct step {
    enum step_kind kind;
    uint32_t at; /* which program, or which test */
};

/* What the store will be told. */
enum job_end {
    JOB_COMPLETE, /* it runs, or has run: its results */
    JOB_FAIL,     /* the reason it could not be run */
    JOB_RELEASE,  /* this worker stops: another may have it */
    JOB_ABANDON,  /* nothing: the lease is another's, or it was cancelled */
};

struct job_test {
    struct run_outcome outcome; /* what the result's texts point into */
    bool has_outcome;
    char message[200]; /* of an internal error */
};

struct job {
    struct job *next;        /* all held ones, oldest claim first */
    struct job *finish_next; /* those that wait for a finisher */
    char token[TOKEN_BYTES];
    uint32_t attempt;
    uint64_t claimed_us; /* monotonic */
    bool begun;          /* a slot has taken a step of it */
    enum job_end end;
    bool with_reporter;                           /* queued for one, or in its hands */
    char reason[sizeof((struct error *)0)->text]; /* JOB_FAIL */

    struct submission submission; /* zeros where it could not be decoded */
    struct compiled *programs;    /* one a program */
    struct job_test *tests;       /* one a test */
    struct result *results;       /* one a test, in the order of the request */
    struct step *steps;           /* a ring: every step is in it at most once, so programs + tests are room enough */
    size_t steps_room, steps_first, steps_len;
    size_t tests_left;
    uint32_t running;      /* steps in the hands of slots */
    uint64_t output_bytes; /* kept in outcomes */
};

/* Decodes the claim's payload and queues the compile steps; never fails: one that cannot be run is born with its end.
 * *claim is used up. */
struct job *job_new(struct store_claim *claim, const struct languages *languages, uint64_t attempts_max);
void job_free(struct job *job);

bool job_take_step(struct job *job, struct step *ret_step);
/* The slot could not do it: it is the next one to be taken again. */
void job_return_step(struct job *job, struct step step);

/* The compile step of a program is over: *compiled is moved in; its tests are queued, or have their results now. */
void job_compiled(struct job *job, uint32_t program, struct compiled *compiled);

/* The run step of a test is over; the outcome is moved in. */
void job_ran(struct job *job, uint32_t test, struct run_outcome *outcome, const struct result *result);
void job_could_not_run(struct job *job, uint32_t test, const char *why);

/* No further step; results that still come are thrown away.  Returns how many queued steps went. */
size_t job_give_up(struct job *job, enum job_end end);

static inline bool job_is_open(const struct job *job)
{
    return job->end == JOB_COMPLETE && job->tests_left > 0;
}
