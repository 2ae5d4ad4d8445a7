/*
 * job: a submission this worker has a lease on, from its claim until it is reported to the store.
 *
 * Its work is a queue of steps: first one compile step per program.  A program that has compiled adds the run steps of
 * its tests.  Executors take steps in the order of the schedule.  When no step is left or running, or the job has been
 * aborted, a reporter reports it to the store and frees it.
 *
 * All functions but job_new and job_free are called with the worker's lock held.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/result.h"
#include "model/submission.h"
#include "queue/queue.h"
#include "sandbox/sandbox.h"
#include "worker/schedule.h"
#include "worker/step_compile.h"
#include "worker/step_run.h"

enum step_kind { STEP_COMPILE, STEP_RUN };

struct step {
    enum step_kind kind;
    uint32_t at; /* index of the program, or of the test */
};

/*
 * The outputs of one job that are kept until it is reported, as they are stored: a control character takes six bytes of
 * JSON.  Without a limit, 1,000 tests of 16 MiB each would fill the memory of the worker and the store.
 */
#define JOB_OUTPUT_BYTES_MAX (64u << 20)

/* What is reported to the store when the job ends. */
enum job_end {
    JOB_COMPLETE, /* the results; every job that runs ends so, unless it is aborted */
    JOB_FAIL,     /* the reason why it cannot be run: it ends as Failed */
    JOB_RELEASE,  /* that the worker returns it: it is queued again, which costs no attempt */
    JOB_RETURN,   /* that this host cannot run it: it is queued again after a delay, or ends after many returns */
    JOB_ABANDON,  /* nothing: the lease was lost or cancelled */
};

struct job_test {
    struct run_outcome outcome; /* the strings of the result point into it */
    bool has_outcome;
    char message[200]; /* of an output that was omitted */
};

struct job {
    struct job *next;        /* in the worker's list, oldest claim first */
    struct job *report_next; /* in the list of jobs that wait for a reporter */
    char token[TOKEN_BYTES];
    uint32_t attempt;
    uint64_t claimed_us; /* monotonic */
    bool started;        /* an executor has taken a step */
    bool runs_alone; /* with the next lost lease it is given up, so that must be its own fault: no job runs beside it */
    bool begun;      /* its compile steps were queued */
    struct schedule_entry turn;
    size_t payload_bytes; /* of the claim, which its strings and files were copied from */
    enum job_end end;
    bool with_reporter;                           /* waits for a reporter, or is being reported */
    char reason[sizeof((struct error *)0)->text]; /* JOB_FAIL, JOB_RETURN, JOB_ABANDON */

    struct submission submission;  /* zeros if it could not be decoded */
    struct compiled *programs;     /* one per program */
    struct job_test *tests;        /* one per test */
    struct result *results;        /* one per test, in the order of the request */
    struct step *steps;            /* a ring; each step is in it at most once, so it never grows */
    size_t steps_cap, steps_first; /* turn.ready steps are in it */
    size_t tests_left;             /* without a result */
    uint32_t running;              /* steps that executors have taken */
    uint32_t parked;               /* compile steps that have joined a flight */
    uint64_t output_bytes;         /* of the results, as JSON */
    uint64_t artifact_bytes;       /* of its programs, as artifact_budget counts them */
};

/*
 * Decodes the claim's payload and queues the compile steps, unless it runs alone.  Frees the claim.  Never fails: a job
 * that cannot be run has its `end` and `reason` set and no steps.
 */
struct job *job_new(struct store_claim *claim, const struct languages *languages, uint64_t attempts_max);
/* Queues the compile steps of a job that runs alone. */
void job_begin(struct job *job);
void job_free(struct job *job);

/* False if no step is queued. */
bool job_take_step(struct job *job, struct step *ret_step);

/* A compile step that was taken joins a flight. */
void job_park_step(struct job *job);
/* It leaves the flight as if an executor had taken it, or is queued again, before all others. */
void job_unpark_step(struct job *job);
void job_requeue_step(struct job *job, struct step step);

/* Ends the compile step of a program.  Moves *compiled in; queues the program's tests, or gives them their results. */
void job_compiled(struct job *job, uint32_t program, struct compiled *compiled);

/*
 * Ends the run step of a test.  Moves the outcome in.  outputs_bytes is result_outputs_bytes(result), which the caller
 * computes without the lock.  An interpreter's compile error is the result of the program's queued tests, too: returns
 * how many steps that has dropped.
 */
size_t job_ran(struct job *job, uint32_t test, struct run_outcome *outcome, const struct result *result,
               uint64_t outputs_bytes);
/* Ends a step that could not be run, for this reason.  The caller then aborts the job. */
void job_step_failed(struct job *job, const char *reason);

/* Drops all queued steps and ignores results from now on.  Returns the number of steps dropped. */
size_t job_abort(struct job *job, enum job_end end);

static inline struct job *job_of_turn(struct schedule_entry *turn)
{
    return (struct job *)((char *)turn - offsetof(struct job, turn));
}

static inline bool job_is_open(const struct job *job)
{
    return job->end == JOB_COMPLETE && job->tests_left > 0;
}
