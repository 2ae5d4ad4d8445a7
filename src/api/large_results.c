/*
 * large_results: the list of requests, and the copies in memory.
 *
 * The thread is the only one that gives a copy to a response.  So a copy whose only owner is the list has no response
 * left, and can be dropped.  It is kept for a second, because clients that poll come together.
 */
#include "api/large_results.h"

#include <errno.h>
#include <stdlib.h>

#include "api/submission_response.h"
#include "base/clock.h"
#include "base/sync.h"

#define WAIT_US 10000000u
#define KEEP_US 1000000u
#define LOOK_US 50000u /* interval of checks for room, and for copies that no request needs */

struct request {
    struct exchange *exchange;
    char token[TOKEN_BYTES];
    enum long_poll_response response;
    bool is_repeated;
    uint64_t bytes, until_us;
    struct request *next;
};

struct copy {
    char token[TOKEN_BYTES];
    struct shared_body *body;
    size_t results_at, results_len; /* the array of results inside the body; 0: it has none */
    uint64_t used_us;
    struct copy *next;
};

struct large_results {
    struct store *store;
    pthread_mutex_t lock; /* guards the requests and is_ending */
    pthread_cond_t changed;
    struct request *first, **last;
    bool is_ending;
    struct copy *copies; /* used only by the thread */
    pthread_t thread;
};

/* ---- responses ------------------------------------------------------------------------------------------------- */

static const char *const *headers_of(const struct request *request, struct submit_headers *headers)
{
    return request->response == LONG_POLL_STATUS ? NULL : submit_headers(headers, request->token, request->is_repeated);
}

static void respond_error(struct request *request, const struct error *err)
{
    struct submit_headers headers;

    exchange_respond_error_with(request->exchange, err, headers_of(request, &headers));
    free(request);
}

static void refuse(struct request *request, enum error_kind kind, const char *reason)
{
    struct error err = { 0 };

    (void)error_set(&err, kind, 0, "%s", reason);
    respond_error(request, &err);
}

static void respond_copy(struct request *request, struct copy *copy)
{
    struct submit_headers headers;
    bool is_part = request->response == LONG_POLL_RESULTS;

    copy->used_us = clock_mono_us();
    if (is_part && copy->results_len == 0) {
        refuse(request, ERROR_MISSING, "the submission has no results");
        return;
    }
    exchange_respond_shared(request->exchange, 200, "application/json", copy->body, is_part ? copy->results_at : 0,
                            is_part ? copy->results_len : shared_body_len(copy->body), headers_of(request, &headers));
    free(request);
}

/* ---- copies ---------------------------------------------------------------------------------------------------- */

static struct copy *copy_find(struct large_results *results, const char *token)
{
    struct copy *copy = results->copies;

    while (copy != NULL && memcmp(copy->token, token, TOKEN_LEN) != 0)
        copy = copy->next;
    return copy;
}

/* Drops copies without a response that were not used for so long. */
static void copies_drop(struct large_results *results, uint64_t unused_us)
{
    uint64_t now = clock_mono_us();

    for (struct copy **at = &results->copies; *at != NULL;) {
        struct copy *copy = *at;
        if (shared_body_owners(copy->body) > 1 || now - copy->used_us < unused_us) {
            at = &copy->next;
            continue;
        }
        *at = copy->next;
        shared_body_release(copy->body);
        free(copy);
    }
}

/* The result itself becomes the second piece of the body, and is not copied. */
static int make_body(const struct request *request, struct store_view *view, struct copy *copy, struct error *err)
{
    auto_buf struct buf head = { 0 };

    buf_init(&head, SUBMISSION_ENVELOPE_BYTES);
    view->result.max += SUBMISSION_ENVELOPE_BYTES;
    if (submission_response_head(request->token, view, &head, err) < 0)
        return -1;
    copy->results_at = head.len;
    copy->results_len = view->result.len;
    if (submission_response_tail(view, &view->result, err) < 0)
        return -1;
    copy->body = shared_body_new(request->exchange, &head, &view->result);
    return copy->body != NULL ? 0 : error_set(err, ERROR_BUSY, ENOMEM, "read a result");
}

static struct copy *copy_read(struct large_results *results, const struct request *request, struct error *err)
{
    const char *token = request->token;
    struct store_view view = { 0 };
    struct copy *copy = calloc(1, sizeof *copy);
    int result = copy != NULL ? store_get(results->store, &token, 1, &view, err)
                              : error_set(err, ERROR_BUSY, ENOMEM, "read a result");

    if (result == 0 && view.err.kind != ERROR_NONE) {
        *err = view.err;
        result = -1;
    }
    if (result == 0 && (!view.found || view.state != SUBMISSION_COMPLETED))
        result = error_set(err, ERROR_MISSING, 0, "no submission %s; it never existed or has expired", token);
    if (result == 0)
        result = make_body(request, &view, copy, err);
    store_view_done(&view);
    if (result < 0) {
        free(copy);
        return NULL;
    }
    memcpy(copy->token, token, TOKEN_BYTES);
    copy->next = results->copies;
    results->copies = copy;
    return copy;
}

static void respond_read(struct large_results *results, struct request *request)
{
    struct error err = { 0 };
    struct copy *copy = copy_read(results, request, &err);

    if (copy != NULL)
        respond_copy(request, copy);
    else
        respond_error(request, &err);
}

/* ---- the thread ------------------------------------------------------------------------------------------------ */

/* With the lock held: takes the first request that can be answered now.  *ret_copy: its copy, if there is one. */
static struct request *take(struct large_results *results, struct copy **ret_copy)
{
    uint64_t now = clock_mono_us();

    for (struct request **at = &results->first; *at != NULL; at = &(*at)->next) {
        struct request *request = *at;
        *ret_copy = copy_find(results, request->token);
        if (*ret_copy == NULL && now < request->until_us && !results->is_ending) {
            if (!exchange_answer_fits(request->exchange, request->bytes))
                copies_drop(results, 0);
            if (!exchange_answer_fits(request->exchange, request->bytes))
                continue;
        }
        *at = request->next;
        if (*at == NULL)
            results->last = at;
        return request;
    }
    return NULL;
}

static void serve(struct large_results *results, struct request *request, struct copy *copy, bool is_ending)
{
    if (copy != NULL)
        respond_copy(request, copy);
    else if (is_ending)
        refuse(request, ERROR_BUSY, "the server is stopping");
    else if (clock_mono_us() >= request->until_us)
        refuse(request, ERROR_BUSY, "too many large results are being sent; try again in a moment");
    else
        respond_read(results, request);
}

static void *run(void *context)
{
    struct large_results *results = context;

    mutex_lock(&results->lock);
    while (!results->is_ending || results->first != NULL) {
        struct copy *copy = NULL;
        struct request *request = take(results, &copy);
        if (request != NULL) {
            bool is_ending = results->is_ending;
            mutex_unlock(&results->lock);
            serve(results, request, copy, is_ending);
            mutex_lock(&results->lock);
        } else if (results->first == NULL && results->copies == NULL) {
            cond_wait(&results->changed, &results->lock);
        } else {
            (void)cond_wait_for(&results->changed, &results->lock, LOOK_US);
        }
        copies_drop(results, KEEP_US);
    }
    mutex_unlock(&results->lock);
    return NULL;
}

void large_results_respond(struct large_results *results, struct exchange *exchange, const char token[TOKEN_BYTES],
                           enum long_poll_response response, bool is_repeated, uint64_t bytes)
{
    struct request *request = calloc(1, sizeof *request);

    if (request == NULL) {
        struct error err = { 0 };
        (void)error_set(&err, ERROR_BUSY, ENOMEM, "read a result");
        exchange_respond_error(exchange, &err);
        return;
    }
    *request = (struct request){ .exchange = exchange,
                                 .response = response,
                                 .is_repeated = is_repeated,
                                 .bytes = bytes,
                                 .until_us = clock_mono_us() + WAIT_US };
    memcpy(request->token, token, TOKEN_BYTES);
    lock_guard(&results->lock);
    *results->last = request;
    results->last = &request->next;
    cond_signal(&results->changed);
}

int large_results_open(struct store *store, struct large_results **ret, struct error *err)
{
    struct large_results *results = calloc(1, sizeof *results);

    if (results == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the thread of large results");
    results->store = store;
    results->last = &results->first;
    mutex_init(&results->lock);
    cond_init(&results->changed);
    if (thread_start(&results->thread, "large-results", run, results, err) < 0) {
        free(results);
        return -1;
    }
    *ret = results;
    return 0;
}

void large_results_close(struct large_results *results)
{
    if (results == NULL)
        return;
    mutex_lock(&results->lock);
    results->is_ending = true;
    cond_signal(&results->changed);
    mutex_unlock(&results->lock);
    thread_join(results->thread);
    while (results->copies != NULL) {
        struct copy *copy = results->copies;
        results->copies = copy->next;
        shared_body_release(copy->body);
        free(copy);
    }
    (void)pthread_cond_destroy(&results->changed);
    (void)pthread_mutex_destroy(&results->lock);
    free(results);
}
