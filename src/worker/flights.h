/*
 * flights: one executor compiles a program; equal programs wait for it without an executor, and share what comes out.
 *
 * A flight (as in "single flight") is a compile step that runs.  A step with the same key (cache_key.h) that is taken
 * meanwhile joins it: the step is parked.  When the compile step ends, its outcome is copied to the parked steps, also
 * if the program does not compile.  If the host or a cancel ended it, the parked steps are queued again instead.
 *
 * The worker's lock guards it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct job;
struct flight;

struct flights {
    struct flight *first;
};

/* A parked compile step. */
struct flight_waiter {
    struct flight_waiter *next;
    struct job *job;
    uint32_t program;
};

/* True: the step has joined a flight.  False: a flight has begun; the caller compiles, and then calls flights_end. */
bool flights_join(struct flights *flights, const char key[HASH_HEX_BYTES], struct job *job, uint32_t program);
/* Ends the flight and returns its waiters, first come first; the caller frees each.  NULL: nobody waits. */
struct flight_waiter *flights_end(struct flights *flights, const char key[HASH_HEX_BYTES]);
/* Removes all waiters of the job. */
void flights_leave(struct flights *flights, const struct job *job);
