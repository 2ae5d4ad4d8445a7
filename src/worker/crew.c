/*
 * crew: what the threads of a worker do with what they share.  See the header for the lock.
 */
#include "worker/crew.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#define BACKOFF_MS_MIN 50u
#define BACKOFF_MS_MAX 5000u

bool crew_wait(struct worker *worker, pthread_cond_t *condition, uint64_t wait_ms)
{
    struct timespec until;

    if (wait_ms == 0)
        return pthread_cond_wait(condition, &worker->lock) == 0;
    /* The real clock even where tests replace clock.h's: this is how long a thread sleeps, not what time it is. */
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ms / 1000);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(condition, &worker->lock, &until) != ETIMEDOUT;
}

void crew_add_held(struct worker *worker, struct held *held)
{
    struct held **end = &worker->held;

    while (*end != NULL)
        end = &(*end)->next;
    *end = held;
    worker->held_len++;
    worker->steps_ready += held->steps_len;
    for (size_t i = 0; i < held->steps_len && i < worker->slots_len; i++)
        (void)pthread_cond_signal(&worker->work);
    crew_check_end(worker, held);
}

void crew_remove_held(struct worker *worker, struct held *held)
{
    struct held **at = &worker->held;

    assert(held->running == 0 && held->steps_len == 0);
    while (*at != held)
        at = &(*at)->next;
    *at = held->next;
    worker->held_len--;
    held_free(held);
    (void)pthread_cond_signal(&worker->room);
    (void)pthread_cond_broadcast(&worker->changed);
}

void crew_check_end(struct worker *worker, struct held *held)
{
    if (held->with_finisher || held->running > 0 || held_is_open(held))
        return;
    assert(held->steps_len == 0);
    held->with_finisher = true;
    held->finish_next = NULL;
    if (worker->finish_first == NULL)
        worker->finish_first = held;
    else
        worker->finish_last->finish_next = held;
    worker->finish_last = held;
    (void)pthread_cond_signal(&worker->ended);
}

void crew_give_up(struct worker *worker, struct held *held, enum held_end end)
{
    worker->steps_ready -= held_give_up(held, end);
    for (uint32_t i = 0; i < worker->slots_len; i++)
        if (worker->slots[i].held == held && worker->slots[i].box != NULL)
            box_cancel(worker->slots[i].box);
    /* A step that was taken but has not begun its run yet is the warden's. */
    (void)pthread_cond_signal(&worker->given_up);
    if (held->with_finisher)
        (void)pthread_cond_broadcast(&worker->retry);
    crew_check_end(worker, held);
}

void crew_give_up_all(struct worker *worker, enum held_end end)
{
    for (struct held *held = worker->held; held != NULL; held = held->next)
        if (held->end == HELD_FINISH && !held->with_finisher)
            crew_give_up(worker, held, end);
}

uint64_t crew_backoff_ms(uint32_t try)
{
    uint64_t ceiling = BACKOFF_MS_MIN;
    uint16_t chance = 0;

    for (uint32_t i = 1; i < try && ceiling < BACKOFF_MS_MAX; i++)
        ceiling *= 2;
    if (ceiling > BACKOFF_MS_MAX)
        ceiling = BACKOFF_MS_MAX;
    /* Workers that lost the store together must not come back together; without chance they would. */
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance)
        chance = 0;
    return ceiling / 2 + ceiling / 2 * chance / UINT16_MAX;
}

void crew_count_busy(struct worker *worker, uint64_t now_us)
{
    worker->busy_us += worker->steps_running * (now_us - worker->busy_counted_us);
    worker->busy_counted_us = now_us;
}

struct store_worker crew_describe(const struct worker *worker)
{
    struct store_worker description = {
        .slots = worker->slots_open,
        .running = (uint32_t)worker->held_len,
        .lanes = worker->lanes,
    };

    memcpy(description.name, worker->name, sizeof description.name);
    return description;
}
