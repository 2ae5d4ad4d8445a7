/*
 * timer_wheel: many timers with a resolution of 20 ms.  Setting, clearing and finding a due timer take constant time.
 *
 * A hashed timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6).  Times are
 * those of clock_mono_us().  Not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_WHEEL_BUCKETS 4096u /* a power of two; times 82 s apart share a bucket */

/* Embedded in the object that has a timeout.  All zero: not set. */
struct timer {
    struct timer *previous, *next;
    uint64_t tick;
    bool is_set;
};

struct timer_wheel {
    struct timer *buckets[TIMER_WHEEL_BUCKETS];
    uint64_t tick; /* all earlier buckets have been searched */
    size_t len;
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_us);

/* Sets the timer to at_us, or up to 20 ms later; a time in the past is due at once.  Returns the exact time. */
uint64_t timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t at_us, uint64_t now_us);
/* Also for a timer that is not set. */
void timer_clear(struct timer_wheel *wheel, struct timer *timer);

/* Clears and returns one timer that is due, or NULL. */
struct timer *timer_wheel_due(struct timer_wheel *wheel, uint64_t now_us);
/* When to call timer_wheel_due again: not later than the next timer is due.  UINT64_MAX: no timer is set. */
uint64_t timer_wheel_next_us(const struct timer_wheel *wheel);
