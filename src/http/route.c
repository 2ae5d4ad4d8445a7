/*
 * route: a linear search, because the table has about fifteen rows.
 */
#include "http/route.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* *ret_segment: the part of the path that matched '*'. */
static bool path_matches(const char *pattern, struct text path, struct text *ret_segment)
{
    size_t at = 0;

    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '*') {
            if (at == path.len || path.at[at] != *p)
                return false;
            at++;
            continue;
        }
        size_t from = at;
        while (at < path.len && path.at[at] != '/')
            at++;
        if (at == from)
            return false;
        *ret_segment = (struct text){ path.at + from, at - from };
    }
    return at == path.len;
}

static void allow_add(char allow[ROUTE_ALLOW_BYTES], const char *method)
{
    size_t len = strlen(allow);
    int added = snprintf(allow + len, ROUTE_ALLOW_BYTES - len, "%s%s", len > 0 ? ", " : "", method);

    assert(added > 0 && (size_t)added < ROUTE_ALLOW_BYTES - len);
}

struct route_match route_find(const struct route *routes, size_t routes_len, struct text method, struct text path)
{
    struct route_match match = { .outcome = ROUTE_UNKNOWN };
    struct text wanted = text_equal(method, TEXT("HEAD")) ? TEXT("GET") : method;

    for (size_t i = 0; i < routes_len; i++) {
        struct text segment = { 0 };
        if (!path_matches(routes[i].path, path, &segment))
            continue;
        allow_add(match.allow, routes[i].method);
        if (strcmp(routes[i].method, "GET") == 0)
            allow_add(match.allow, "HEAD");
        if (match.outcome == ROUTE_FOUND)
            continue;
        match.route = &routes[i];
        match.segment = segment;
        match.outcome = text_equal(wanted, text_of(routes[i].method)) ? ROUTE_FOUND : ROUTE_OTHER_METHOD;
    }
    if (match.outcome == ROUTE_UNKNOWN)
        return match;
    allow_add(match.allow, "OPTIONS");
    if (text_equal(method, TEXT("OPTIONS")))
        match.outcome = ROUTE_PREFLIGHT;
    return match;
}

const char *route_method_label(struct text method)
{
    static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_equal(method, text_of(known[i])))
            return known[i];
    return "OTHER";
}
