/* limits_json: the limits an object of a request asks for.  Only *_json.c files include this. */
#pragma once
#include <jansson.h>

#include "codec/field_json.h"
#include "model/limits.h"

/*
 * Applies the object's "timeout", then "memory_limit", then "limits" to *limits; so within one object "limits" wins,
 * and of several objects applied in turn the last.  What the object does not name stays.  CPU time without wall time
 * sets the wall time too (limits_set_timeout).  A value outside [floor, ceiling] is an error that names both.
 */
int limits_apply(const json_t *object, const struct path *path, const struct limits *ceiling, struct limits *limits,
                 struct error *err);
/* The same without "limits": what an element of a batch that names its own program takes from the first. */
int limits_apply_simple(const json_t *object, const struct path *path, const struct limits *ceiling,
                        struct limits *limits, struct error *err);
