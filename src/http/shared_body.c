/* shared_body: counts its owners. */
#include "http/shared_body.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "http/server_internal.h"

struct shared_body {
    _Atomic size_t owners;
    struct server *server;
    struct buf head, rest;
    size_t counted;
};

struct shared_body *shared_body_new(const struct exchange *exchange, struct buf *head, struct buf *rest)
{
    struct server *server = exchange->server;
    struct shared_body *body = calloc(1, sizeof *body);

    if (body == NULL)
        return NULL;
    body->owners = 1;
    body->server = server;
    server->owners++;
    body->head = *head;
    body->rest = *rest;
    body->counted = head->cap + rest->cap;
    server->answers_bytes += body->counted;
    *head = (struct buf){ .max = head->max };
    *rest = (struct buf){ .max = rest->max };
    return body;
}

struct shared_body *shared_body_hold(struct shared_body *body)
{
    body->owners++;
    return body;
}

void shared_body_release(struct shared_body *body)
{
    if (body == NULL || --body->owners > 0)
        return;
    body->server->answers_bytes -= body->counted;
    server_release(body->server);
    buf_done(&body->head);
    buf_done(&body->rest);
    free(body);
}

size_t shared_body_owners(const struct shared_body *body)
{
    return body->owners;
}

size_t shared_body_len(const struct shared_body *body)
{
    return body->head.len + body->rest.len;
}

size_t shared_body_read(const struct shared_body *body, uint64_t offset, char *to, size_t max)
{
    assert(offset < shared_body_len(body));
    const struct buf *piece = offset < body->head.len ? &body->head : &body->rest;
    size_t from = (size_t)offset - (piece == &body->rest ? body->head.len : 0);
    size_t len = piece->len - from < max ? piece->len - from : max;

    memcpy(to, piece->at + from, len);
    return len;
}
