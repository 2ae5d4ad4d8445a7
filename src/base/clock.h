/*
 * clock: the time of day and the monotonic clock.  Thread-safe.
 *
 *   clock_wall_ms  milliseconds since 1970: for people and other machines
 *   clock_mono_us  microseconds that never go back: for durations and deadlines
 */
#pragma once
#include <stdint.h>

uint64_t clock_wall_ms(void);
uint64_t clock_mono_us(void);

/* For tests: both clocks keep these values until clock_real(). */
void clock_fake(uint64_t wall_ms, uint64_t mono_us);
void clock_real(void);

/* "2026-01-31T12:00:00.123Z"; ret must hold CLOCK_ISO_BYTES. */
#define CLOCK_ISO_BYTES 25
void clock_iso(uint64_t wall_ms, char ret[CLOCK_ISO_BYTES]);
