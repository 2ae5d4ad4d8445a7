/*
 * clock: the two clocks, in the units this project uses.
 * clock_wall_ms: since 1970, for what people and other machines see.
 * clock_mono_us: never goes back, for durations and deadlines.
 * Both may be replaced in tests by clock_fake().  Any thread.
 */
#pragma once
#include <stdint.h>

uint64_t clock_wall_ms(void);
uint64_t clock_mono_us(void);

/* Tests only: from now on both clocks stand at these values; clock_real() lets them run again. */
void clock_fake(uint64_t wall_ms, uint64_t mono_us);
void clock_real(void);

/* "2026-01-31T12:00:00.123Z"; ret must hold CLOCK_ISO_BYTES. */
#define CLOCK_ISO_BYTES 25
void clock_iso(uint64_t wall_ms, char ret[CLOCK_ISO_BYTES]);
