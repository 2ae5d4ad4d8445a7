/* flights: see the header.  There are at most as many flights as executors. */
#include "worker/flights.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct flight {
    struct flight *next;
    char key[HASH_HEX_BYTES];
    struct flight_waiter *waiters;
};

static void *new_zeroed(size_t bytes)
{
    void *made = calloc(1, bytes);

    if (made == NULL)
        abort(); /* a small fixed size; the leases expire and other workers take over */
    return made;
}

static struct flight **find(struct flights *flights, const char *key)
{
    struct flight **at = &flights->first;

    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

bool flights_join(struct flights *flights, const char key[HASH_HEX_BYTES], struct job *job, uint32_t program)
{
    struct flight **at = find(flights, key);

    if (*at == NULL) {
        *at = new_zeroed(sizeof **at);
        memcpy((*at)->key, key, HASH_HEX_BYTES);
        return false;
    }
    struct flight_waiter **end = &(*at)->waiters;
    while (*end != NULL)
        end = &(*end)->next;
    *end = new_zeroed(sizeof **end);
    (*end)->job = job;
    (*end)->program = program;
    return true;
}

struct flight_waiter *flights_end(struct flights *flights, const char key[HASH_HEX_BYTES])
{
    struct flight **at = find(flights, key), *flight = *at;

    assert(flight != NULL);
    struct flight_waiter *waiters = flight->waiters;
    *at = flight->next;
    free(flight);
    return waiters;
}

void flights_leave(struct flights *flights, const struct job *job)
{
    for (struct flight *flight = flights->first; flight != NULL; flight = flight->next)
        for (struct flight_waiter **at = &flight->waiters; *at != NULL;) {
            struct flight_waiter *waiter = *at;
            if (waiter->job == job) {
                *at = waiter->next;
                free(waiter);
            } else {
                at = &waiter->next;
            }
        }
}
