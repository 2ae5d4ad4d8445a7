/*
 * crew: the threads of one worker and what they share.  Internal to src/worker.
 *
 *   claimer     takes submissions from the store, as many as the slots can soon run        claimer.c
 *   slots       one thread each, with a box of its own: compile and run steps              slot.c
 *   finishers   tell the store how a submission ended, again and again while it is away    finisher.c
 *   keeper      heartbeats, and the store's sweep                                          lease.c
 *   warden      ends the runs of submissions that were given up                            lease.c
 *
 * One lock guards everything below it in struct worker, every `held` and every slot; no call to the store and no run is
 * made under it (sandbox_cancel is: it returns at once, and the lock is what keeps it from hitting a box's next run).
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/artifact_cache.h"
#include "worker/artifact_share.h"
#include "worker/job.h"
#include "worker/result_cache.h"
#include "worker/worker.h"

#define REPORTERS_MAX 8u
#define STEP_US_LONG 200000u /* what steps are taken to last until it is known better */

struct executor {
    struct worker *worker;
    uint32_t number;
    pthread_t thread;
    /* Under the lock. */
    struct sandbox_slot *slot; /* NULL while it could not be opened */
    struct job *job;           /* whose step runs in it, or NULL */
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
    const char **queues; /* NULL-terminated; the strings are the languages' */

    pthread_mutex_t lock;
    pthread_cond_t work;     /* slots: a step is ready, or the end */
    pthread_cond_t room;     /* claimer: a slot is free, or no more claims */
    pthread_cond_t ended;    /* finishers: a submission has ended, or the end */
    pthread_cond_t retry;    /* cuts back-offs of finishers and slots short */
    pthread_cond_t beat;     /* keeper: the end */
    pthread_cond_t given_up; /* warden: something must be stopped, or the end */
    pthread_cond_t changed;  /* worker_start, worker_stop: a slot tried to open, a submission or the claimer is gone */

    struct job *job; /* all, oldest claim first */
    size_t job_len;
    struct job *finish_first, *finish_last;
    size_t steps_ready, steps_running;
    uint64_t beat_us;                  /* when the last heartbeat that was heard was sent */
    uint64_t busy_us, busy_counted_us; /* slots' time with a step since then, and until when it is counted */
    uint64_t step_us;                  /* what a step takes lately */
    struct executor *slots;
    uint32_t slots_len;
    uint32_t slots_tried;      /* have opened their box, or could not */
    uint32_t slots_open;       /* have a box */
    uint64_t no_slot_since_us; /* 0 while one has a box */
    struct error slot_error;   /* why the latest box could not be opened */
    bool stopping;             /* no more claims */
    bool fetcher_ended;
    bool impatient; /* the drain is over: nothing is tried again */
    bool ending;    /* all threads leave */
    /* Without the lock: when each last began a round.  0: the claimer waits for room, for as long as it takes. */
    _Atomic uint64_t fetcher_pulse_us, heartbeat_pulse_us;

    pthread_t fetcher, heartbeat, canceller, reporters[REPORTERS_MAX];
    uint32_t reporters_len;
};

/* Threads. */
void *fetcher_main(void *worker);
void *executor_main(void *executor);
void *reporter_main(void *worker);
void *heartbeat_main(void *worker);
void *canceller_main(void *worker);

/* ---- with the lock held ---- */

/* Waits for the condition, at most so long (0: for ever); true if it was signalled, false on the time-out. */
bool worker_wait(struct worker *worker, pthread_cond_t *condition, uint64_t wait_ms);

void worker_add_job(struct worker *worker, struct job *job);
/* Its last word is said: takes it off all lists and frees it. */
void worker_remove_job(struct worker *worker, struct job *job);
/* To be called whenever a submission may have come to its end: hands it to the finishers if so. */
void worker_check_end(struct worker *worker, struct job *job);
/* Stops its runs and drops its steps; nothing more of it is told to the store than `end` says. */
void worker_abort_job(struct worker *worker, struct job *job, enum job_end end);
/* Gives up whatever is held. */
void worker_abort_all(struct worker *worker, enum job_end end);
/* Back-off after the try-th failure in a row (1, 2, ...): 50 ms doubling to 5 s, half of it by chance. */
uint64_t worker_backoff_ms(uint32_t try);

/* Who this worker is, for the store. */
struct store_worker worker_describe(const struct worker *worker);
/* Before steps_running changes, and before busy_us is read. */
void worker_count_busy(struct worker *worker, uint64_t now_us);
