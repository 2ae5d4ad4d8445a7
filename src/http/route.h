/*
 * route: the table from methods and paths to handlers, and its lookup.  Pure.
 */
#pragma once
#include <stdbool.h>

#include "base/text.h"

struct exchange;

typedef void route_handler(struct exchange *exchange, void *context);

struct route {
    const char *method;
    const char *path;    /* a '*' matches one segment that is not empty */
    const char *pattern; /* shown in metrics: "/submissions/{token}" */
    bool takes_body;     /* up to server_settings.body_bytes_max; a larger one is refused with 413 before it is read */
    route_handler *handler;
};

enum route_outcome {
    ROUTE_FOUND,
    ROUTE_PREFLIGHT,    /* OPTIONS for an existing path */
    ROUTE_OTHER_METHOD, /* the path exists with other methods: 405 */
    ROUTE_UNKNOWN,      /* 404 */
};

#define ROUTE_ALLOW_BYTES 96
struct route_match {
    enum route_outcome outcome;
    const struct route *route;     /* with ROUTE_FOUND the matching one, otherwise any with this path, or NULL */
    struct text segment;           /* the part of `path` that matched '*' */
    char allow[ROUTE_ALLOW_BYTES]; /* the path's methods, as "GET, HEAD, OPTIONS"; "" for an unknown path */
};

/* HEAD uses the route of GET. */
struct route_match route_find(const struct route *routes, size_t routes_len, struct text method, struct text path);

/* A method as used in metrics and logs: a literal, "OTHER" for methods that HTTP does not define. */
const char *route_method_label(struct text method);
