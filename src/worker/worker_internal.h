/*
 * worker_internal: the threads of a worker and the state they share.  Internal to src/worker.
 *
 * daemon/threads.h lists the threads.
 *
 * One lock guards every field of struct worker below it, every struct job, and the marked fields of struct executor.
 * No thread calls the store or runs a program while it holds the lock.  sandbox_cancel is called under the lock: it
 * returns at once, and the lock keeps it from hitting the next run of the slot.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/sync.h"
#include "worker/artifact_budget.h"
#include "worker/artifact_cache.h"
#include "worker/artifact_share.h"
#include "worker/flights.h"
#include "worker/job.h"
#include "worker/result_cache.h"
#include "worker/worker.h"

#define REPORTERS_MAX 8u
#define STEP_US_LONG 200000u /* assumed duration of a step until steps have been measured */
#define LOOK_EVERY_US 50000u /* least time between two looks */
#define JOBS_HELD_MAX 128u   /* jobs that run, wait for a flight or are being reported */
#define BACKOFF_MIN_MS 50u   /* between tries of a store or a sandbox that fails */
#define BACKOFF_MAX_MS 5000u

/* A worker only moves forward through its phases (worker_set_phase). */
enum worker_phase {
    WORKER_RUNNING,
    WORKER_NO_CLAIMS, /* the drain: jobs go on, no new ones are claimed */
    WORKER_NO_RETRY,  /* the drain is over: unfinished jobs are released, reports that fail are not retried */
    WORKER_STOPPING,  /* there are no jobs, and all threads exit */
};

#define NEVER_PROVEN UINT64_MAX

struct executor {
    struct worker *worker;
    uint32_t number;
    pthread_t thread;
    /* Under the lock.  Only the executor itself changes them, so it may read them without. */
    struct sandbox_slot *slot; /* NULL while it is not open */
    uint64_t proven;           /* sandbox_failures when its slot was opened, or last passed the self-test */
    uint64_t image_tests;      /* that it has taken part in */
    struct job *job;           /* whose step it runs, or NULL */
};

/* An image of installed languages. */
struct worker_image {
    const char *name;
    bool broken;       /* the self-test failed in it and passed in another */
    uint32_t tries;    /* failed self-tests in a row */
    uint64_t retry_us; /* when the next one is due */
};

struct worker {
    const struct config *config;
    const struct languages *languages;
    struct sandbox *sandbox;
    struct store *store;
    struct artifact_share share;
    struct artifact_cache *cache; /* NULL: artifacts are not kept */
    struct result_cache *results; /* NULL: results are not kept */
    char name[80];
    char (*queue_names)[QUEUE_NAME_BYTES]; /* of each language and version of submissions that it reads */
    const char **queue_images;             /* of each queue_name: the image of its language; NULL: "mixed" */
    size_t queues_len;
    size_t queues_mixed; /* the first of them are of submissions in several languages */

    pthread_mutex_t lock;
    /* A change of phase broadcasts all of these. */
    pthread_cond_t step_ready;     /* executors wait for a step */
    pthread_cond_t capacity_freed; /* the fetcher waits until executors can take more steps, or ask for a look */
    pthread_cond_t looked;         /* executors wait for the look they asked for */
    pthread_cond_t job_ended;      /* reporters wait for a job to report */
    pthread_cond_t retry_now;      /* reporters and executors back off; a signal cuts the wait short */
    pthread_cond_t heartbeat_due;  /* heartbeat waits for the time of its next round */
    pthread_cond_t job_aborted;    /* canceller waits for a job to stop */
    pthread_cond_t progress;       /* worker_start waits for executors, worker_stop for jobs and the fetcher */

    enum worker_phase phase; /* only the thread that calls worker_drain and worker_stop changes it */
    struct job *jobs;        /* oldest claim first */
    size_t jobs_len;
    struct job *reports_first, *reports_last; /* ended jobs that wait for a reporter */
    size_t steps_ready, steps_running;
    struct schedule schedule;
    struct flights flights;
    struct artifact_budget budget;
    bool look_wanted;      /* an executor asks the fetcher whether something should go before the jobs held here */
    uint64_t looked_us;    /* when the fetcher last asked the store for work */
    uint64_t heartbeat_us; /* when the last acknowledged heartbeat was sent */
    uint64_t busy_us,
        busy_counted_us; /* busy time of all executors since heartbeat_us, counted until busy_counted_us */
    uint64_t step_us;    /* moving average of the duration of a step */
    struct executor *executors;
    uint32_t executors_len;
    uint32_t executors_tried; /* how many have opened their slot, or failed to */
    /*
     * After each failure of the sandbox every slot has to pass the self-test before it takes another step.  Only proven
     * slots count, so that nothing is claimed until one has passed.
     */
    uint64_t sandbox_failures;
    const char *probe_image; /* the self-test runs in it: of the run that failed last, or a broken one; or NULL */
    struct worker_image *images;
    size_t images_len, images_broken;
    uint64_t image_tests;      /* how often all slots had to be opened again and proven in a broken image */
    uint32_t slots_open;       /* how many executors have an open slot that is proven */
    uint64_t no_slot_since_us; /* 0 while there is one */
    bool self_test_failed;     /* since no_slot_since_us: the jobs are released */
    struct error slot_error;   /* the latest failure */
    bool beat_now;             /* the store has to hear of slots_open */
    struct job *alone;         /* the job that has to run alone (job.h), or NULL */
    uint64_t mixed_again_us;   /* when the fetcher claims from "mixed" again */
    bool fetcher_done;
    /* Without the lock: when each last began a round.  0: the fetcher waits for capacity, which may take long. */
    _Atomic uint64_t fetcher_pulse_us, heartbeat_pulse_us;

    pthread_t fetcher, heartbeat, canceller, reporters[REPORTERS_MAX];
    uint32_t reporters_len;
};

/* The threads' main functions.  The context is the worker, or the executor. */
void *fetcher_main(void *worker);
void *executor_main(void *executor);
void *reporter_main(void *worker);
void *heartbeat_main(void *worker);
void *canceller_main(void *worker);

/* ---- executor_slot.c ---- */

/* Opens the executor's slot and proves it, once.  After -1 slot_error has the reason. */
int executor_slot_try(struct executor *executor);
/* Returns true once the slot is open and proven, at once if it is already; false when the worker stops. */
bool executor_slot_ready(struct executor *executor);
/* Closes the slot if it is open. */
void executor_slot_close(struct executor *executor);
/* With the lock held: a run in this image failed for no fault of its program.  All slots have to be proven again. */
void worker_sandbox_failed(struct worker *worker, const char *image, const struct error *reason);

/* ---- worker_images.c, with the lock held ---- */

/* The image of this name, which is added if it is new. */
struct worker_image *worker_image(struct worker *worker, const char *name, bool *ret_is_new);
/* The name of an image other than this that is not known as broken, or NULL. */
const char *worker_image_other(const struct worker *worker, const char *name);
bool worker_image_works(const struct worker *worker, const char *name);
bool worker_image_of_job_is_broken(const struct worker *worker, const struct job *job);
/* The self-test passed in this image, or it failed and passed in another. */
void worker_image_tested(struct worker *worker, const char *name, const struct error *failure);
/* Lets the executors repeat the self-test in a broken image if that is due. */
void worker_images_retry(struct worker *worker, uint64_t now_us);

/* Lock, condition variables; phase WORKER_RUNNING. */
void worker_init_sync(struct worker *worker);

/* ---- with the lock held ---- */

/* Enters a later phase and wakes all threads. */
void worker_set_phase(struct worker *worker, enum worker_phase phase);

void worker_add_job(struct worker *worker, struct job *job);
/*
 * Counts the archive of a program that has compiled.  False: it is more than the job may keep, and *compiled is a
 * compile error that says so.
 */
bool worker_count_artifact(struct worker *worker, struct job *job, struct compiled *compiled,
                           enum artifact_room *ret_room, uint64_t *ret_bytes);
/* Removes a job that has been reported from all lists and frees it. */
void worker_remove_job(struct worker *worker, struct job *job);
/* Hands the job to the reporters if it has ended.  Called after every change that may end it. */
void worker_check_end(struct worker *worker, struct job *job);
/* Begins the job that has to run alone, if no other job is left or `now_or_never`. */
void worker_begin_alone(struct worker *worker, bool now_or_never);
/* Stops the job's runs and drops its steps.  `end` is what is reported of it. */
void worker_abort_job(struct worker *worker, struct job *job, enum job_end end);
/* Aborts all jobs that have not ended. */
void worker_abort_all(struct worker *worker, enum job_end end);

/* The worker as the store knows it, without busy_milli.  ret_queues has room for queues_len + 1. */
struct store_worker worker_describe(const struct worker *worker, const char **ret_queues);
/* Brings busy_us up to date: called before steps_running changes, and before busy_us is read. */
void worker_count_busy(struct worker *worker, uint64_t now_us);
