/*
 * redis_resolver: looks up the addresses of one host name, anew for each connect, and with a deadline.
 *
 * getaddrinfo(3) has no deadline: if the name server does not answer, it takes ten seconds and more.  So it runs on a
 * thread, and a caller stops waiting when its deadline has passed.  While that thread runs, further callers wait for
 * its answer instead of starting another look-up.  The answer may come too late for the caller that started it.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

#define REDIS_ADDRESSES_MAX 8

struct redis_addresses {
    struct sockaddr_storage at[REDIS_ADDRESSES_MAX];
    socklen_t lens[REDIS_ADDRESSES_MAX];
    size_t len;
};

struct redis_resolver; /* thread-safe */

int redis_resolver_open(const char *host, const char *port, struct redis_resolver **ret, struct error *err);
/* Finds at least one address.  deadline_ms is on the clock of redis_now_ms. */
int redis_resolver_find(struct redis_resolver *resolver, uint64_t deadline_ms, struct redis_addresses *ret,
                        struct error *err);
/* Does not wait for a look-up that is running.  NULL is allowed. */
void redis_resolver_close(struct redis_resolver *resolver);
