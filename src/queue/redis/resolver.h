/*
 * redis_resolver: the addresses of one host name, asked for again each time, and never waited for longer than is said.
 *
 * The resolver of the C library cannot be told a deadline: with a name server that is gone it takes ten seconds and
 * more.  So a thread of its own asks; who waits for it gives up in time, and the next one waits for the same answer
 * rather than ask twice.  An answer that comes too late is only for those.
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

struct redis_resolver; /* any thread may use it */

int redis_resolver_open(const char *host, const char *port, struct redis_resolver **ret, struct error *err);
/* At least one address. */
int redis_resolver_find(struct redis_resolver *names, uint64_t deadline_ms, struct redis_addresses *ret,
                        struct error *err);
void redis_resolver_close(
    struct redis_resolver *names); /* does not wait for a question that is under way; NULL is fine */
