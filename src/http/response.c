/*
 * response: makes responses of libmicrohttpd, and counts the memory of their bodies.
 */
#include <assert.h>
#include <microhttpd.h>

#include "base/log.h"
#include "http/server_internal.h"

#define BLOCK_BYTES 65536 /* of a shared body, copied at a time */

void response_add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES)
        log_error("header %s of a response could not be added", name);
}

/* `line` is "Name: value". */
static void add_header_line(struct MHD_Response *response, const char *line)
{
    char name[64];
    const char *colon = strstr(line, ": ");

    assert(colon != NULL && (size_t)(colon - line) < sizeof name);
    memcpy(name, line, (size_t)(colon - line));
    name[colon - line] = '\0';
    response_add_header(response, name, colon + 2);
}

/* A response's own body. */
struct answer {
    struct server *server;
    struct buf body;
};

static void answer_free(void *context)
{
    struct answer *answer = context;

    answer->server->answers_bytes -= answer->body.cap;
    buf_done(&answer->body);
    free(answer);
}

/* A response's part of a shared body. */
struct shared_answer {
    struct shared_body *body;
    size_t from, len;
};

static ssize_t shared_answer_read(void *context, uint64_t at, char *to, size_t max)
{
    const struct shared_answer *answer = context;
    size_t left = answer->len - (size_t)at;

    return (ssize_t)shared_body_read(answer->body, answer->from + at, to, max < left ? max : left);
}

static void shared_answer_free(void *context)
{
    struct shared_answer *answer = context;

    shared_body_release(answer->body);
    free(answer);
}

void *response_or_abort(void *made)
{
    if (made == NULL) {
        log_error("out of memory for a response");
        abort();
    }
    return made;
}

/* `content_type`: NULL if there is no body. */
static struct MHD_Response *with_headers(const struct server *server, struct MHD_Response *response,
                                         const char *content_type, const char *const *headers)
{
    const char *origin = server->settings.cors_origin;

    if (content_type != NULL)
        response_add_header(response, "Content-Type", content_type);
    response_add_header(response, "Cache-Control", "no-store");
    response_add_header(response, "X-Content-Type-Options", "nosniff");
    if (origin[0] != '\0') {
        response_add_header(response, "Access-Control-Allow-Origin", origin);
        response_add_header(response, "Access-Control-Expose-Headers", EXPOSED_HEADERS);
        if (strcmp(origin, "*") != 0)
            response_add_header(response, "Vary", "Origin");
    }
    for (; headers != NULL && *headers != NULL; headers++)
        add_header_line(response, *headers);
    return response;
}

struct MHD_Response *response_of_buf(struct server *server, struct buf *body, const char *content_type,
                                     const char *const *headers)
{
    static char nothing[1];

    if (body == NULL || body->len == 0)
        return with_headers(server,
                            response_or_abort(MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT)),
                            NULL, headers);
    struct answer *answer = response_or_abort(calloc(1, sizeof *answer));
    answer->server = server;
    answer->body = *body;
    server->answers_bytes += body->cap;
    *body = (struct buf){ .max = body->max };
    struct MHD_Response *response = response_or_abort(
        MHD_create_response_from_buffer_with_free_callback_cls(answer->body.len, answer->body.at, answer_free, answer));
    return with_headers(server, response, content_type, headers);
}

struct MHD_Response *response_of_shared(const struct server *server, struct shared_body *body, size_t from, size_t len,
                                        const char *content_type, const char *const *headers)
{
    struct shared_answer *answer = response_or_abort(calloc(1, sizeof *answer));

    assert(len > 0 && from + len <= shared_body_len(body));
    *answer = (struct shared_answer){ shared_body_hold(body), from, len };
    struct MHD_Response *response = response_or_abort(
        MHD_create_response_from_callback(len, BLOCK_BYTES, shared_answer_read, answer, shared_answer_free));
    return with_headers(server, response, content_type, headers);
}
