/*
 * timer_wheel: what is due when, of many things, to 20 ms: setting, clearing and finding take the same time however
 * many there are.  A hashed timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987,
 * scheme 6).  Times are clock_mono_us().  Not locked: the caller sees to that.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_WHEEL_BUCKETS 4096u /* a power of two; 82 s until two times share a bucket */

/* Part of what is timed; all zero: not set. */
struct timer {
    struct timer *previous, *next;
    uint64_t tick;
    bool is_set;
};

struct timer_wheel {
    struct timer *buckets[TIMER_WHEEL_BUCKETS];
    uint64_t tick; /* all before it have been looked through */
    size_t len;
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_us);

/* It is due at at_us, or at most 20 ms later; at once where that is not after now.  Returns when that is. */
uint64_t timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t at_us, uint64_t now_us);
/* What is not set may be cleared. */
void timer_clear(struct timer_wheel *wheel, struct timer *timer);

/* One that is due, cleared; NULL when no more are. */
struct timer *timer_wheel_due(struct timer_wheel *wheel, uint64_t now_us);
/* When to look again: not later than the next is due.  UINT64_MAX: none is set. */
uint64_t timer_wheel_next_us(const struct timer_wheel *wheel);
