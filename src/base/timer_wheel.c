/* timer_wheel: an array of lists, indexed by the tick at which their timers are due. */
#include "base/timer_wheel.h"

#define TICK_US 20000u

static size_t bucket_of(uint64_t tick)
{
    return (size_t)(tick & (TIMER_WHEEL_BUCKETS - 1));
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_us)
{
    *wheel = (struct timer_wheel){ .tick = now_us / TICK_US };
}

uint64_t timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t at_us, uint64_t now_us)
{
    timer_clear(wheel, timer);
    timer->tick = at_us <= now_us ? now_us / TICK_US : (at_us - 1) / TICK_US + 1;
    if (timer->tick < wheel->tick) /* the caller's now is older than the last search */
        timer->tick = wheel->tick;
    struct timer **first = &wheel->buckets[bucket_of(timer->tick)];
    timer->previous = NULL;
    timer->next = *first;
    if (*first != NULL)
        (*first)->previous = timer;
    *first = timer;
    timer->is_set = true;
    wheel->len++;
    return timer->tick * TICK_US;
}

void timer_clear(struct timer_wheel *wheel, struct timer *timer)
{
    if (!timer->is_set)
        return;
    if (timer->previous != NULL)
        timer->previous->next = timer->next;
    else
        wheel->buckets[bucket_of(timer->tick)] = timer->next;
    if (timer->next != NULL)
        timer->next->previous = timer->previous;
    timer->is_set = false;
    wheel->len--;
}

/* The other timers of a bucket are due one or more turns of the wheel later. */
static struct timer *due_in(const struct timer_wheel *wheel, uint64_t bucket, uint64_t tick)
{
    struct timer *at = wheel->buckets[bucket_of(bucket)];
    while (at != NULL && at->tick > tick)
        at = at->next;
    return at;
}

struct timer *timer_wheel_due(struct timer_wheel *wheel, uint64_t now_us)
{
    uint64_t now = now_us / TICK_US;
    if (now > wheel->tick + TIMER_WHEEL_BUCKETS) /* one turn visits every bucket */
        wheel->tick = now - TIMER_WHEEL_BUCKETS;
    for (;;) {
        struct timer *due = due_in(wheel, wheel->tick, now);
        if (due != NULL) {
            timer_clear(wheel, due);
            return due;
        }
        if (wheel->tick >= now)
            return NULL; /* the next search includes this bucket: timers that are due at once go there */
        wheel->tick++;
    }
}

uint64_t timer_wheel_next_us(const struct timer_wheel *wheel)
{
    if (wheel->len == 0)
        return UINT64_MAX;
    uint64_t tick = wheel->tick;
    while (tick < wheel->tick + TIMER_WHEEL_BUCKETS && due_in(wheel, tick, tick) == NULL)
        tick++;
    return tick * TICK_US;
}
