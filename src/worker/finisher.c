/*
 * finisher: says the last word about a submission to the store.
 *
 * A thread of its own, so that a slot does not wait for a commit, and several, so that a store that commits in groups
 * can.  While the store is away it tries again, for as long as the heartbeat has not heard that the lease is lost:
 * the store itself refuses what comes too late.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
#include "job/result_json.h"
#include "metrics/metrics.h"
#include "worker/crew.h"

#define RESULTS_BYTES_MAX (448u << 20) /* 64 MiB of output, every byte escaped as \u0000, and the figures */

static struct held *next_ended(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->finish_first == NULL && !worker->ending)
        (void)pthread_cond_wait(&worker->ended, &worker->lock);
    struct held *held = worker->finish_first;
    if (held != NULL)
        worker->finish_first = held->finish_next;
    (void)pthread_mutex_unlock(&worker->lock);
    return held;
}

/* What to do now: `end` may have become HELD_FORGET meanwhile. */
static enum held_end end_now(struct worker *worker, const struct held *held)
{
    (void)pthread_mutex_lock(&worker->lock);
    enum held_end end = held->end;
    (void)pthread_mutex_unlock(&worker->lock);
    return end;
}

/* false: the worker may not wait any longer. */
static bool wait_to_try_again(struct worker *worker, uint32_t try)
{
    (void)pthread_mutex_lock(&worker->lock);
    bool again = !worker->impatient;
    if (again)
        (void)crew_wait(worker, &worker->retry, crew_backoff_ms(try));
    (void)pthread_mutex_unlock(&worker->lock);
    return again;
}

/* One try.  -1: *err says why, and another try may help if its kind is ERROR_STORE. */
static int tell(struct worker *worker, const struct held *held, enum held_end end, struct text result, bool *ret_kept,
                struct error *err)
{
    switch (end) {
    case HELD_FINISH:
        return store_finish(worker->store, held->token, held->attempt, SUBMISSION_COMPLETED, result, ret_kept, err);
    case HELD_FAIL:
        return store_finish(worker->store, held->token, held->attempt, SUBMISSION_FAILED, text_of(held->reason),
                            ret_kept, err);
    case HELD_HAND_BACK:
        return store_hand_back(worker->store, held->token, held->attempt, err);
    case HELD_FORGET:
        break;
    }
    return 0;
}

/* A result the store will never take would be run again and again: it ends as Failed, with the reason. */
static void fail_instead(struct worker *worker, struct held *held, const struct error *err)
{
    (void)pthread_mutex_lock(&worker->lock);
    if (held->end == HELD_FINISH) {
        held->end = HELD_FAIL;
        (void)snprintf(held->reason, sizeof held->reason, "the results cannot be stored: %.250s", err->text);
    }
    (void)pthread_mutex_unlock(&worker->lock);
}

static void count_verdicts(const struct held *held)
{
    for (size_t i = 0; i < held->submission.tests_len; i++) {
        char language[64];
        (void)snprintf(language, sizeof language, "%.*s", TEXT_ARG(held->results[i].language));
        metrics_verdict(language, held->results[i].verdict);
    }
}

static void say_last_word(struct worker *worker, struct held *held)
{
    auto_buf struct buf result = { .max = RESULTS_BYTES_MAX };
    struct error err;

    if (end_now(worker, held) == HELD_FINISH &&
        results_encode(held->results, held->submission.tests_len, &result, &err) < 0)
        fail_instead(worker, held, &err);
    for (uint32_t try = 1;; try++) {
        enum held_end end = end_now(worker, held);
        bool kept = true;
        if (tell(worker, held, end, buf_text(&result), &kept, &err) == 0) {
            if (end == HELD_FINISH && kept)
                count_verdicts(held);
            if (!kept)
                log_warn("submission %s, attempt %" PRIu32 ": finished too late, another attempt has it", held->token,
                         held->attempt);
            break;
        }
        if (err.kind != ERROR_STORE && end == HELD_FINISH) {
            log_error("submission %s: %s", held->token, err.text);
            fail_instead(worker, held, &err);
            continue;
        }
        if (try == 1)
            log_error("submission %s: %s%s", held->token, err.text,
                      err.kind == ERROR_STORE ? "; trying again until it works" : "; its lease will run out");
        if (err.kind != ERROR_STORE || !wait_to_try_again(worker, try))
            break;
    }
}

void *finisher_main(void *context)
{
    struct worker *worker = context;

    (void)pthread_setname_np(pthread_self(), "finisher");
    for (struct held *held; (held = next_ended(worker)) != NULL;) {
        say_last_word(worker, held);
        (void)pthread_mutex_lock(&worker->lock);
        crew_remove_held(worker, held);
        (void)pthread_mutex_unlock(&worker->lock);
    }
    return NULL;
}
