/*
 * limits: defaults and ceilings of struct limits for a configuration, access by the API's names, and the two forms in
 * which requests may abbreviate limits.  Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "run/run.h"

struct config;

/* LIMITS_LIST as a table, in the same order. */
struct limit_field {
    const char *key; /* the API's name; NULL if clients and language files cannot set it */
    uint64_t factor; /* units of the field per unit of the key */
    uint64_t floor;  /* in units of the key */
};
#define X(...) +1
enum { LIMIT_FIELDS_LEN = 0 LIMITS_LIST(X) };
#undef X
extern const struct limit_field limit_fields[LIMIT_FIELDS_LEN];
/* `field` is an index into limit_fields; the value is in the field's own units. */
uint64_t limits_get(const struct limits *limits, size_t field);
void limits_set(struct limits *limits, size_t field, uint64_t value);

/* The defaults of LIMITS_LIST, each lowered to its ceiling. */
void limits_default(const struct config *config, struct limits *ret);
/* The largest value of each limit that a request may ask for. */
void limits_ceiling(const struct config *config, struct limits *ret);
/* The largest value of every field's type: for limits that the operator sets. */
extern const struct limits limits_unbounded;

/*
 * Sets the CPU time to `timeout_us`, and the wall time to half as much again, at least one second more: a busy machine
 * then does not turn an answer into a timeout, and a sleeping program still ends soon.
 */
void limits_set_timeout(struct limits *limits, uint64_t timeout_us);

/* "128m", "512M", "1g", "64k", "1048576", "256mb", "1GiB": bytes, powers of 1024. */
int limits_parse_memory(const char *value, uint64_t *ret_bytes, struct error *err);
