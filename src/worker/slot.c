/*
 * slot: a thread with a box.  It takes the oldest ready step, does it, hands in what came of it.
 *
 * A box that breaks is not the program's fault until it has broken twice with it:
 *   first error        the step is done again in the box, which has repaired itself
 *   second error       the box is opened anew.  If that works, the program is what breaks boxes: its test (or all tests
 *                      of a program that cannot be compiled) ends as an internal error.  If it does not, the host is to
 *                      blame: the step goes back to the queue, and the slot tries to open its box until it can.
 * An error because the launcher died is not counted: it ends all boxes, whatever they run.  But one that dies ten times
 * during one step is counted, so that no step is tried for ever.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "worker/crew.h"

#define LAUNCHER_DEATHS_MAX 10 /* during one step */

/* What came of a step, until it is handed in under the lock. */
struct doing {
    struct held *held;
    struct step step;
    struct compiled compiled;   /* STEP_COMPILE */
    struct box_outcome outcome; /* STEP_RUN */
    struct result result;
    bool failed; /* error says why */
    struct error error;
};

static int box_try(struct slot *slot)
{
    struct worker *worker = slot->worker;
    struct box *box = NULL;
    struct error err;

    int outcome = box_open(worker->sandbox, slot->number, &box, &err);
    (void)pthread_mutex_lock(&worker->lock);
    if (outcome == 0) {
        slot->box = box;
        worker->slots_open++;
        worker->no_slot_since_us = 0;
        (void)pthread_cond_signal(&worker->room);
    } else {
        worker->slot_error = err;
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return outcome;
}

static void box_drop(struct slot *slot)
{
    struct worker *worker = slot->worker;

    (void)pthread_mutex_lock(&worker->lock);
    struct box *box = slot->box;
    slot->box = NULL;
    if (--worker->slots_open == 0)
        worker->no_slot_since_us = clock_mono_us();
    (void)pthread_mutex_unlock(&worker->lock);
    box_close(box);
}

/* Until the box is open; false if the worker ends first. */
static bool box_reopen(struct slot *slot)
{
    struct worker *worker = slot->worker;

    for (uint32_t try = 1;; try++) {
        if (box_try(slot) == 0) {
            log_info("slot %u: its box is open again", slot->number);
            return true;
        }
        (void)pthread_mutex_lock(&worker->lock);
        if (try == 1)
            log_error("slot %u: %s; trying again until it works", slot->number, worker->slot_error.text);
        bool ending = worker->ending;
        if (!ending)
            (void)crew_wait(worker, &worker->retry, crew_backoff_ms(try));
        ending = worker->ending;
        (void)pthread_mutex_unlock(&worker->lock);
        if (ending)
            return false;
    }
}

/* Waits for a step; false when the worker ends. */
static bool take_step(struct slot *slot, struct doing *doing)
{
    struct worker *worker = slot->worker;

    (void)pthread_mutex_lock(&worker->lock);
    for (;;) {
        for (struct held *held = worker->held; held != NULL; held = held->next)
            if (held_take_step(held, &doing->step)) {
                doing->held = slot->held = held;
                worker->steps_ready--;
                crew_count_busy(worker, clock_mono_us());
                worker->steps_running++;
                (void)pthread_mutex_unlock(&worker->lock);
                return true;
            }
        if (worker->ending)
            break;
        (void)pthread_cond_wait(&worker->work, &worker->lock);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return false;
}

static int do_step(struct slot *slot, struct doing *doing)
{
    struct worker *worker = slot->worker;
    struct submission *submission = &doing->held->submission;
    struct artifact_cache *artifacts = submission->fresh ? NULL : worker->cache;
    struct result_cache *results = submission->fresh || !submission->cache_results ? NULL : worker->results;

    if (doing->step.kind == STEP_COMPILE)
        return runner_compile(slot->box, artifacts, &submission->programs[doing->step.at], &doing->compiled,
                              &doing->error);
    /* A program's artifact is not changed any more once its run steps are queued, so it is read without the lock. */
    const struct test *test = &submission->tests[doing->step.at];
    return runner_run(slot->box, results, submission, test, &doing->held->programs[test->program], &doing->outcome,
                      &doing->result, &doing->error);
}

static bool is_given_up(struct slot *slot, const struct held *held)
{
    (void)pthread_mutex_lock(&slot->worker->lock);
    bool given_up = held->end != HELD_FINISH;
    (void)pthread_mutex_unlock(&slot->worker->lock);
    return given_up;
}

/* false: the host cannot run it now; the slot has no box any more. */
static bool do_step_safely(struct slot *slot, struct doing *doing)
{
    const struct sandbox *sandbox = slot->worker->sandbox;
    unsigned deaths = 0;
    for (int try = 1; try <= 2; try++) {
        unsigned before = sandbox_restarts(sandbox);
        doing->failed = do_step(slot, doing) < 0;
        if (!doing->failed)
            return true;
        if (doing->error.kind != ERROR_SANDBOX)
            break; /* the box is well: this step can never be built */
        log_warn("slot %u: %s of submission %s: %s", slot->number, doing->step.kind == STEP_COMPILE ? "compile" : "run",
                 doing->held->token, doing->error.text);
        if (is_given_up(slot, doing->held))
            break;
        if (sandbox_restarts(sandbox) != before && ++deaths < LAUNCHER_DEATHS_MAX) {
            try--;
            continue;
        }
        if (try == 2) {
            box_drop(slot);
            return box_try(slot) == 0;
        }
    }
    return true;
}

static void count_step(const struct doing *doing)
{
    const struct submission *submission = &doing->held->submission;
    char language[64];

    if (doing->failed)
        return;
    if (doing->step.kind == STEP_COMPILE) {
        const struct language *compiler = submission->programs[doing->step.at].language;
        (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(compiler->id));
        if (compiler->compile.words_len > 0)
            metrics_cache(language, doing->compiled.cached);
        return;
    }
    (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(doing->result.language));
    metrics_execution(language, doing->result.facts.wall_us);
}

/* With the lock held: a compile step that could not be done ends as a program without artifact. */
static void hand_in_failure(struct doing *doing)
{
    if (doing->step.kind == STEP_RUN) {
        held_could_not_run(doing->held, doing->step.at, doing->error.text);
        return;
    }
    compiled_init(&doing->compiled);
    (void)snprintf(doing->compiled.message, sizeof doing->compiled.message, "%.*s",
                   (int)sizeof doing->compiled.message - 1, doing->error.text);
    held_compiled(doing->held, doing->step.at, &doing->compiled);
}

static void hand_in(struct slot *slot, struct doing *doing, bool done, uint64_t took_us)
{
    struct worker *worker = slot->worker;
    struct held *held = doing->held;

    (void)pthread_mutex_lock(&worker->lock);
    size_t ready_before = held->steps_len;
    if (!done)
        held_return_step(held, doing->step);
    else if (doing->failed)
        hand_in_failure(doing);
    else if (doing->step.kind == STEP_COMPILE)
        held_compiled(held, doing->step.at, &doing->compiled);
    else
        held_ran(held, doing->step.at, &doing->outcome, &doing->result);
    size_t added = held->steps_len - ready_before;
    worker->steps_ready += added;
    crew_count_busy(worker, clock_mono_us());
    worker->steps_running--;
    worker->step_us = worker->step_us / 8 * 7 + took_us / 8;
    slot->held = NULL;
    /* This slot takes one of the new steps itself. */
    for (size_t i = done ? 1 : 0; i < added && i < worker->slots_len; i++)
        (void)pthread_cond_signal(&worker->work);
    (void)pthread_cond_signal(&worker->room);
    crew_check_end(worker, held);
    (void)pthread_mutex_unlock(&worker->lock);
}

void *slot_main(void *context)
{
    struct slot *slot = context;
    struct worker *worker = slot->worker;
    char name[16];

    (void)snprintf(name, sizeof name, "slot-%u", slot->number % 100000);
    (void)pthread_setname_np(pthread_self(), name);
    bool open = box_try(slot) == 0;
    (void)pthread_mutex_lock(&worker->lock);
    worker->slots_tried++;
    (void)pthread_cond_broadcast(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);

    for (;;) {
        struct doing doing = { 0 };
        if (!open && !box_reopen(slot))
            return NULL;
        if (!take_step(slot, &doing))
            break;
        uint64_t begin_us = clock_mono_us();
        bool done = do_step_safely(slot, &doing);
        if (done)
            count_step(&doing);
        hand_in(slot, &doing, done, clock_mono_us() - begin_us);
        open = slot->box != NULL; /* only this thread changes it */
    }
    box_drop(slot);
    return NULL;
}
