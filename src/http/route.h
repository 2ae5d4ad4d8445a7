/*
 * route: which handler answers a path, and if none does, why.  Pure.
 */
#pragma once
#include "http/server.h"

enum route_outcome {
    ROUTE_FOUND,
    ROUTE_PREFLIGHT,    /* OPTIONS of a path that exists */
    ROUTE_OTHER_METHOD, /* the path exists, with other methods: 405 */
    ROUTE_UNKNOWN,      /* 404 */
};

#define ROUTE_ALLOW_BYTES 96
struct route_match {
    enum route_outcome outcome;
    const struct route *route;     /* ROUTE_FOUND: the one; otherwise any of this path, or NULL */
    struct text segment;           /* what '*' stood for, inside `path` */
    char allow[ROUTE_ALLOW_BYTES]; /* "GET, HEAD, OPTIONS": what the path answers to; "" for an unknown path */
};

/* HEAD is answered by the route of GET.  A '*' does not match an empty segment. */
struct route_match route_find(const struct route *routes, size_t routes_len, struct text method, struct text path);

/* A method as a label or a log shows it: one of those HTTP knows, else "OTHER".  A literal. */
const char *route_method_label(struct text method);
