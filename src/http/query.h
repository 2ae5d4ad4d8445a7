/*
 * query: the parameters of a request's target.  Pure.
 *
 * libmicrohttpd could parse them, but keeps 64 bytes a parameter in the memory of the connection.  When that is used
 * up, it sends no response (0.9.75).
 */
#pragma once
#include <stdbool.h>

#include "base/text.h"

struct query {
    char *at; /* owned: pairs of a name and a value, each with a NUL */
    size_t len;
};

/* `encoded` follows the '?'.  "+" is a blank, and %00 stays as it is.  Returns -1 (without *err) if memory ran out. */
int query_init(struct query *query, struct text encoded);
void query_done(struct query *query);
/* Steps through the parameters, from *at = 0.  A value without '=' is "".  False at the end. */
bool query_next(const struct query *query, size_t *at, struct text *ret_name, struct text *ret_value);
