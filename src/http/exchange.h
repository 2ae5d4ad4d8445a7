/*
 * exchange: one request and its answer, as server.c and exchange.c share it.  Not for handlers: they see server.h.
 *
 * exchange.c decides (which route, which refusal, what an error answer says) and knows nothing of libmicrohttpd, whose
 * objects are only named here; server.c speaks with libmicrohttpd and decides nothing.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "http/connections.h"
#include "http/header_check.h"
#include "http/route.h"
#include "http/server.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

#define ANSWER_BYTES_MAX (1u << 20) /* of an error; results have their own bound */

enum exchange_state { OPEN, DISPATCHED, SUSPENDED, ANSWERED, QUEUED, ABANDONED };

struct exchange {
    struct server *server;
    struct MHD_Connection *mhd;
    struct connection *connection;
    _Atomic uint32_t owners;
    pthread_mutex_t lock;
    enum exchange_state state;
    bool is_listed;                                       /* HTTP thread only: is it in server->kept? */
    struct exchange *suspended_previous, *suspended_next; /* under server->lock, which is taken before `lock` */

    uint64_t born_us;
    char *path;
    const char *method; /* label, see route_method_label */
    struct text segment;
    const struct route *route; /* NULL: refused, or a preflight */
    const char *pattern;       /* for metrics */
    struct refusal refusal;
    char too_large[64]; /* words of a refusal */
    char allow[ROUTE_ALLOW_BYTES];
    bool is_preflight, has_body, closes;
    struct buf body;
    size_t body_counted; /* in server->bodies_bytes */

    const void *client; /* what admit said */
    unsigned status;
    struct MHD_Response *response; /* ANSWERED: to be queued */
    uint64_t response_bytes;
    exchange_taken *taken;
    void *taken_context;
};

struct server {
    _Atomic size_t owners; /* one for server_stop, one for each exchange */
    struct server_settings settings;
    struct MHD_Daemon *daemon;
    struct connections *connections;
    uint16_t port;
    int listen_fd;
    struct buf late_answer;
    _Atomic bool is_draining;
    _Atomic size_t bodies_bytes;
    _Atomic size_t upgraded_len;
    pthread_mutex_t lock; /* the list of kept exchanges, the log budget */
    struct exchange *kept;
    uint64_t log_second;
    uint32_t logs_this_second;
};

/* The head is known: chooses the route or the refusal.  `check` has seen every header. */
void exchange_choose(struct exchange *exchange, const struct header_check *check, struct text method);
/* Answers a refusal or a preflight: what needs no handler. */
void exchange_answer_itself(struct exchange *exchange);
/* False: the connection must be closed now; the client has been told why. */
bool exchange_collect(struct exchange *exchange, const char *bytes, size_t len);
/* HTTP thread: the server's list of exchanges that are handled or kept.  Unlisting what is not listed is fine. */
void exchange_list(struct exchange *exchange);
void exchange_unlist(struct exchange *exchange);
