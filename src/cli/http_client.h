/*
 * http_client: requests to an evalx server, by libcurl.
 */
#pragma once
#include "base/buf.h"
#include "base/error.h"

struct http_client;

struct http_answer {
    unsigned status;
    struct buf body;
};
void http_answer_done(struct http_answer *answer);

/* `server` has the form "http://127.0.0.1:3000", which is also the default if it is NULL and EVALX_SERVER is not set.
 * Every request carries the key of EVALX_API_KEY if that is set. */
int http_client_open(const char *server, struct http_client **ret, struct error *err);
void http_client_close(struct http_client *http_client); /* NULL is fine */

/* A GET, or a POST of `body`.  A status of 4xx or 5xx is a response; -1 means that there was none. */
int http_client_request(struct http_client *http_client, const char *path, const struct text *body, uint32_t timeout_s,
                        struct http_answer *ret, struct error *err);

/* Turns a response other than 2xx into an error, with the server's message if there is one.  Returns -1. */
int http_client_refused(const struct http_answer *answer, struct error *err);
