/*
 * redis_connection: one connection to Redis, for one thread at a time.
 *
 * The socket is ours; hiredis only formats commands and parses replies.  So a deadline covers a whole reply, however
 * slowly its bytes arrive, another thread can end a wait, and a lost connection is an error instead of a SIGPIPE.  The
 * host name is looked up for each connect, which follows a failover by DNS.  After a failed send or receive the
 * connection must be closed.
 */
#pragma once
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "queue/redis/resolver.h"
#include "queue/redis/tls.h"

struct redis_address {
    char host[256];
    char port[8];
    char user[128];     /* "": the default user */
    char password[256]; /* "": no AUTH */
    unsigned database;
    bool uses_tls;
    const struct redis_trust *trust; /* borrowed; must be set before a connect if uses_tls */
    struct redis_resolver *resolver; /* borrowed; for this host and port; must be set before a connect */
};

struct redis_connection {
    int fd;
    struct redis_tls *tls; /* NULL: plain */
    redisReader *reader;
    uint64_t id; /* CLIENT ID; 0: not read yet, UINT64_MAX: not available */
};

/* Parses redis[s]://[user[:password]@]host[:port][/database] with percent-encoded parts.  *err never quotes the URL. */
int redis_address_parse(const char *url, struct redis_address *ret, struct error *err);

/* Connects within 2 s, then logs in and selects the database, each command within 2 s. */
int redis_connection_open(const struct redis_address *address, struct redis_connection **ret, struct error *err);
void redis_connection_close(struct redis_connection *connection); /* NULL is allowed */

/* `lens` NULL: the arguments are strings.  Deadlines are on the clock of redis_now_ms. */
int redis_connection_send(struct redis_connection *connection, size_t args_len, const char *const args[],
                          const size_t lens[], uint64_t deadline_ms, struct error *err);
/* 1: *ret is the reply, which the caller frees.  0: the deadline passed, or wake_fd (unless -1) is readable. */
int redis_connection_receive(struct redis_connection *connection, uint64_t deadline_ms, int wake_fd, redisReply **ret,
                             struct error *err);

/* Turns an error reply into *err, with an explanation if the error is known.  Always returns -1. */
int redis_error(const redisReply *reply, const char *doing, struct error *err);
uint64_t redis_now_ms(void); /* monotonic clock */
