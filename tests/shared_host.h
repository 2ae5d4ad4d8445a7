/*
 * shared_host: what tests take from the host they share, so that several test programs can run side by side.
 * shared_host.py is the same for the tests in Python.
 */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

/* How many times slower than a machine of our own this one is: sanitized builds, emulated or busy machines.  All
 * patience of the tests is multiplied by it. */
static inline double slowness(void)
{
    const char *word = getenv("EVALX_TEST_SLOWNESS");
    double times = word == NULL ? 1 : strtod(word, NULL);
    return times > 1 ? times : 1;
}

static inline uint64_t slowed(uint64_t time)
{
    return (uint64_t)((double)time * slowness());
}

/* The first user id of a sandbox: each process gets a range of 10000 of its own, far from the default range of evalx
 * and from those of shared_host.py. */
static inline uid_t free_uids(void)
{
    return 2000000000 + (uid_t)(getpid() % 14000) * 10000;
}
