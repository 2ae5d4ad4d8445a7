/*
 * redis_names: the addresses of one host name, asked for again each time, and never waited for longer than is said.
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

struct redis_names; /* any thread may use it */

int redis_names_open(const char *host, const char *port, struct redis_names **ret, struct error *err);
/* At least one address. */
int redis_names_find(struct redis_names *names, uint64_t deadline_ms, struct redis_addresses *ret, struct error *err);
void redis_names_close(struct redis_names *names); /* does not wait for a question that is under way; NULL is fine */
