/*
 * schedule: which job's step an executor runs next.
 *
 * Slots take turns at every step, not at every submission, so that a long submission does not delay the others:
 *
 *   1. Priorities take turns as in a store's claim (submission_priority_order): high first, and nothing starves.
 *   2. Within a priority the client with the fewest running steps of that priority is next.  Among equals it is the one
 *      that was served longest ago.
 *   3. Within these the job with the fewest running steps is next.  Among equals it is the one served longest ago.
 *
 * Steps in slots are compared before turns, because steps differ in length: a client whose steps are long keeps at most
 * its share of the slots.  Once a round, a new job or client goes before the others.  So it waits for one round at
 * most, and a stream of new ones does not push back the old ones.
 *
 * Pure: it neither locks nor waits.  The worker's lock guards it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "model/submission.h"
#include "queue/queue.h"

/* What a client has of one priority in this worker. */
struct schedule_flow {
    struct schedule_flow *next;
    char client[CLIENT_NAME_BYTES];
    enum submission_priority priority;
    uint32_t jobs, running; /* running: steps */
    uint64_t turns;         /* of its jobs together */
    uint64_t entered;       /* the turn at which a new job last went before the others */
    uint64_t served;        /* when it had its last turn, in turns of its priority */
};

/* The part of a job that its turns depend on.  The job changes `ready`; the functions below change the rest. */
struct schedule_entry {
    struct schedule_entry *next;
    struct schedule_flow *flow;
    size_t ready; /* steps that an executor can take */
    uint32_t running;
    uint64_t served; /* when it had its last turn, in turns of its flow */
};

struct schedule {
    struct schedule_entry *entries;
    struct schedule_flow *flows;
    uint64_t turns; /* steps started */
    struct {
        uint64_t turns, entered; /* as in struct schedule_flow */
        uint32_t flows;
    } of[PRIORITY_COUNT_];
    uint32_t flow_jobs; /* a look claims nothing of a flow with so many jobs */
};

void schedule_add(struct schedule *schedule, struct schedule_entry *entry, const char *client,
                  enum submission_priority priority);
/* No step of it may be running. */
void schedule_remove(struct schedule *schedule, struct schedule_entry *entry);

/* Whose step is next; NULL if none is ready. */
struct schedule_entry *schedule_next(const struct schedule *schedule);
/* A step of the entry was taken; then it has ended. */
void schedule_step_started(struct schedule *schedule, struct schedule_entry *entry);
void schedule_step_ended(struct schedule_entry *entry);

/*
 * Fills the filter of a claim so that it takes only what would be served before schedule_next, or, if no step is ready,
 * what belongs to flows with less than flow_jobs.  False: nothing would.
 */
bool schedule_look(const struct schedule *schedule, struct store_filter *ret);
