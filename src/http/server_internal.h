/*
 * server_internal: the two structs that the files of the server share.  Handlers see exchange.h and server.h.
 *
 * Each file calls only those above it in this list:
 *
 *   header_check, query, route, error_response, connections, listen    know neither struct
 *   shared_body        a response's body that several responses share
 *   admission          checks of a request that need no handler, and its body's memory
 *   response           makes responses of libmicrohttpd
 *   server             all other contact with libmicrohttpd: requests, responses, upgrades
 *   server_lifecycle   start, liveness probe, drain, stop
 *   exchange           the calls of exchange.h that are not in server or admission
 *   websocket*         WebSockets (RFC 6455)
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "http/connections.h"
#include "http/header_check.h"
#include "http/query.h"
#include "http/route.h"
#include "http/server.h"
#include "http/shared_body.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

#define ERROR_BODY_BYTES_MAX (1u << 20)

/* The transitions are in server.c. */
enum exchange_state {
    EXCHANGE_OPEN,
    EXCHANGE_DISPATCHED,
    EXCHANGE_SUSPENDED,
    EXCHANGE_RESPONDED,
    EXCHANGE_QUEUED,
    EXCHANGE_ABANDONED,
};

struct exchange {
    struct server *server;
    struct MHD_Connection *mhd;
    struct connection *connection;
    _Atomic uint32_t owners;
    pthread_mutex_t lock;
    enum exchange_state state;
    bool is_listed;                   /* in server->dispatched; HTTP thread only */
    struct exchange *previous, *next; /* under server->lock, which is taken before `lock` */

    uint64_t born_us;
    bool target_is_valid, has_head; /* has_head: the headers were checked */
    struct query query;
    char *target; /* as MHD decoded it; `path` points into it */
    const char *path;
    struct text host;   /* valid until the handler returns */
    const char *method; /* route_method_label */
    struct text segment;
    const struct route *route; /* NULL: refused, or a preflight */
    const char *pattern;       /* for metrics */
    struct refusal refusal;
    char too_large[64]; /* a message of `refusal` that is not a literal */
    char allow[ROUTE_ALLOW_BYTES];
    bool is_preflight, has_body, closes;
    struct buf body;
    size_t body_counted; /* this body's part of server->bodies_bytes */

    const void *client;
    unsigned status;
    struct MHD_Response *response; /* to be queued; NULL before and after */
    uint64_t response_bytes;
    exchange_upgraded *on_upgraded;
    void *upgraded_context;
};

struct server {
    _Atomic size_t owners; /* server_stop, and each exchange */
    struct server_settings settings;
    struct MHD_Daemon *daemon;
    struct connections *connections;
    uint16_t port;
    int listen_fd;
    struct buf late_response; /* a complete 408 */
    _Atomic bool is_draining;
    _Atomic size_t bodies_bytes, answers_bytes;
    _Atomic size_t upgraded_len;
    bool thread_has_name; /* HTTP thread only */
    pthread_mutex_t lock; /* guards `dispatched` and the log budget */
    struct exchange *dispatched;
    uint64_t log_second;
    uint32_t logs_this_second;
};

/* ---- admission.c: on the HTTP thread -------------------------------------------------------------------------- */

/* Chooses the route, or the refusal.  `check` has seen every header. */
void admission_check_head(struct exchange *exchange, const struct header_check *check, struct text method);
/* Appends received bytes to the body.  False: the client was refused on the socket, and the connection must close. */
bool admission_add_body(struct exchange *exchange, const char *bytes, size_t len);

/* The response to a refused request or a preflight, neither of which has a handler. */
struct admission_response {
    unsigned status;
    struct buf body;        /* moved out by the caller */
    const char *headers[5]; /* point into this struct, or at literals */
    char allow[sizeof "Allow: " + ROUTE_ALLOW_BYTES];
    char methods[sizeof "Access-Control-Allow-Methods: " + ROUTE_ALLOW_BYTES];
};
void admission_respond(const struct exchange *exchange, struct admission_response *ret);

/* ---- response.c: any thread ----------------------------------------------------------------------------------- */

/* Aborts on NULL: without a response its connection could never be resumed. */
void *response_or_abort(void *made);
void response_add_header(struct MHD_Response *response, const char *name, const char *value);
/* Moves the body out of *body; NULL or an empty one is none.  `headers`: see exchange_respond. */
struct MHD_Response *response_of_buf(struct server *server, struct buf *body, const char *content_type,
                                     const char *const *headers);
/* See exchange_respond_shared. */
struct MHD_Response *response_of_shared(const struct server *server, struct shared_body *body, size_t from, size_t len,
                                        const char *content_type, const char *const *headers);

/* ---- server.c ------------------------------------------------------------------------------------------------- */

int server_start_daemon(struct server *server, struct error *err);
void server_stop_accepting(struct server *server);
void server_stop_daemon(struct server *server);
/* Responds with 503 to suspended exchanges.  False if no exchange was dispatched or suspended any more. */
bool server_abandon_suspended(struct server *server);
/* Drops one owner.  The memory of a server outlives server_stop while exchanges have no response. */
void server_release(struct server *server);
