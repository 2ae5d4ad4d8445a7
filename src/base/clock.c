/* clock: CLOCK_REALTIME and CLOCK_MONOTONIC, unless a test has set them. */
#include "base/clock.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static _Atomic bool is_fake;
static _Atomic uint64_t fake_wall_ms, fake_mono_us;

uint64_t clock_wall_ms(void)
{
    struct timespec now;

    if (atomic_load(&is_fake))
        return atomic_load(&fake_wall_ms);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_mono_us(void)
{
    struct timespec now;

    if (atomic_load(&is_fake))
        return atomic_load(&fake_mono_us);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void clock_fake(uint64_t wall_ms, uint64_t mono_us)
{
    atomic_store(&fake_wall_ms, wall_ms);
    atomic_store(&fake_mono_us, mono_us);
    atomic_store(&is_fake, true);
}

void clock_real(void)
{
    atomic_store(&is_fake, false);
}

void clock_iso(uint64_t wall_ms, char ret[CLOCK_ISO_BYTES])
{
    static const uint64_t last_ms =
        UINT64_C(253402300799999); /* 9999-12-31T23:59:59.999Z, the last time that fits the format */
    struct tm utc;

    if (wall_ms > last_ms)
        wall_ms = last_ms;
    time_t seconds = (time_t)(wall_ms / 1000);
    (void)gmtime_r(&seconds, &utc);
    size_t len = strftime(ret, CLOCK_ISO_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    assert(len == 19);
    (void)snprintf(ret + len, CLOCK_ISO_BYTES - len, ".%03uZ", (unsigned)(wall_ms % 1000));
}
