/*
 * redis_connection: one connection to Redis.
 *
 * Our own socket; hiredis only writes and reads the protocol.  So a deadline covers a whole answer, however slowly
 * its bytes come; a wait can be ended from another thread; and a connection that is gone is an error, never a SIGPIPE.
 * The name is looked up again at each connect, so that a failover by DNS is followed.
 * One thread at a time.  After -1 from send or receive the connection is of no more use: close it.
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
    char user[128];     /* empty: the default user */
    char password[256]; /* empty: no AUTH */
    unsigned database;
    bool uses_tls;
    const struct redis_trust *trust; /* borrowed; set before a connect where uses_tls */
    struct redis_resolver *resolver; /* borrowed; set before a connect: of this host and port */
};

struct redis_connection {
    int fd;
    struct redis_tls *tls; /* NULL: plain */
    redisReader *reader;
    uint64_t id; /* the server's CLIENT ID of it; 0: not asked for yet */
};

/* redis[s]://[user[:password]@]host[:port][/database], parts percent-encoded.  Never repeats the URL in *err. */
int redis_address_parse(const char *url, struct redis_address *ret, struct error *err);

/* Connects, says who we are and chooses the database: 2 s to connect, 2 s for the rest. */
int redis_connection_open(const struct redis_address *address, struct redis_connection **ret, struct error *err);
void redis_connection_close(struct redis_connection *connection); /* NULL is fine */

/* `lens` NULL: the arguments are strings.  Deadlines are on clock_mono_us, in ms. */
int redis_connection_send(struct redis_connection *connection, size_t args_len, const char *const args[],
                          const size_t lens[], uint64_t deadline_ms, struct error *err);
/* 1: *ret is the answer, to be freed by freeReplyObject.  0: the deadline came, or wake_fd (unless -1) is readable. */
int redis_connection_receive(struct redis_connection *connection, uint64_t deadline_ms, int wake_fd, redisReply **ret,
                             struct error *err);

/* What a server's error answer means to the caller; always -1. */
int redis_error(const redisReply *reply, const char *doing, struct error *err);
uint64_t redis_now_ms(void);
