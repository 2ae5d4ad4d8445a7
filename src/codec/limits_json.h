/* limits_json: reads the limits in an object of a request.  Only *_json.c files include this. */
#pragma once
#include <jansson.h>

#include "codec/field_json.h"
#include "model/limits.h"

/*
 * Applies the object's "timeout", then "memory_limit", then "limits" to *limits, so "limits" has precedence.  Limits
 * that the object does not name keep their values.  A CPU time without a wall time sets the wall time, too
 * (limits_set_timeout).  A value outside [floor, ceiling] is an error that names both bounds.
 */
int limits_apply(const json_t *object, const struct json_path *path, const struct limits *ceiling,
                 struct limits *limits, struct error *err);
/* The same without "limits": what an element of a batch with its own program inherits from the first element. */
int limits_apply_simple(const json_t *object, const struct json_path *path, const struct limits *ceiling,
                        struct limits *limits, struct error *err);
