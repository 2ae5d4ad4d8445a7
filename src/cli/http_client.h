/*
 * http: one request to an evalx server, by libcurl, which is included nowhere else.
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

/* EVALX_API_KEY, where it is set, goes with every request.
 * `server` as in "http://127.0.0.1:3000"; NULL: EVALX_SERVER, else that one. */
int http_client_open(const char *server, struct http_client **ret, struct error *err);
void http_client_close(struct http_client *http_client); /* NULL is fine */

/* -1 where no answer came; a status of 4xx or 5xx is an answer.  `body` of NULL is a GET. */
int http_client_request(struct http_client *http_client, const char *path, const struct text *body, uint32_t timeout_s,
                        struct http_answer *ret, struct error *err);

/* What an answer that is no 2xx says, as an error: the server's own words if it sent some. */
int http_client_refused(const struct http_answer *answer, struct error *err);
