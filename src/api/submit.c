/*
 * submit: POST /execute, /execute/batch and /execute-parallel.
 *
 * A submission is decoded and checked, encoded for the store, and added through async_store.  The client gets its
 * response when the store has made it durable, or with ?wait= when it has ended.  Bodies above INLINE_BYTES_MAX are
 * decoded on the decode threads, the others on the HTTP thread.
 */
#include <assert.h>
#include <errno.h>

#include "api/idempotency.h"
#include "api/routes.h"
#include "api/submission_response.h"
#include "codec/submission_json.h"
#include "config/config.h"

#define INLINE_BYTES_MAX 32768

struct submit {
    struct decode_task task; /* first */
    struct api *api;
    struct exchange *exchange;
    enum request_kind kind;
    uint64_t wait_us; /* 0: respond as soon as it is durable */
    bool fresh;       /* ?fresh=true */
    char token[TOKEN_BYTES];
    char key[HASH_HEX_BYTES]; /* "": no Idempotency-Key */
    struct long_poll *long_poll;
};

static void submit_fail(struct submit *submit, const struct error *err)
{
    if (submit->long_poll != NULL)
        long_poll_discard(submit->long_poll);
    exchange_respond_error(submit->exchange, err);
    free(submit);
}

static void respond_accepted(struct submit *submit, bool repeated)
{
    struct submit_headers headers;
    struct buf body;
    struct error err;

    buf_init(&body, 256);
    if (submission_response_queued(submit->token, &body, &err) < 0)
        exchange_respond_error(submit->exchange, &err);
    else /* not 202: existing clients check for 200 */
        exchange_respond(submit->exchange, 200, "application/json", &body,
                         submit_headers(&headers, submit->token, repeated));
}

/*
 * Why the store did not add a submission.  The limits of a client (its line in api_keys_file, client_queue_bytes and
 * client_results_bytes) are enforced inside the transaction that adds it: queue/sqlite/clients.c and
 * queue/redis/scripts/add.lua.
 */
static void refuse(struct exchange *exchange, enum store_outcome outcome)
{
    static const struct refusal refusals[] = {
        [STORE_CONFLICT] = { 409, "Idempotency-Key", "this key was used with a different body",
                             "idempotency_conflict" },
        [STORE_CLIENT_FULL] = { 429, "",
                                "you have reached your limit of waiting submissions; try again when some have run",
                                "client_queue_full" },
        [STORE_CLIENT_QUEUE_BYTES] = { 429, "",
                                       "your waiting submissions take as many bytes as they may; try again when some "
                                       "have run",
                                       "client_queue_bytes_full" },
        [STORE_CLIENT_RESULTS_BYTES] = { 429, "",
                                         "your stored results take as many bytes as they may; try again when some have "
                                         "expired",
                                         "client_results_bytes_full" },
        [STORE_UNSERVED] = { 503, "language",
                             "no worker runs this language now, or none has all languages of the request",
                             "language_unserved" },
    };
    static const char *const retry[] = { "Retry-After: 1", NULL };

    assert((size_t)outcome < sizeof refusals / sizeof *refusals && refusals[outcome].status != 0);
    exchange_respond_refusal(exchange, &refusals[outcome], outcome == STORE_CONFLICT ? NULL : retry);
}

static int submit_wait(struct submit *submit, struct error *err)
{
    enum long_poll_response response = submit->kind == REQUEST_PARALLEL ? LONG_POLL_RESULTS : LONG_POLL_SUBMITTED;

    submit->long_poll =
        long_poll_new(submit->api->long_polls, submit->token, submit->exchange, response, submit->wait_us, err);
    return submit->long_poll != NULL ? 0 : -1;
}

/* On a thread of async_store. */
static void on_added(void *context, const struct store_added *added, const struct error *err)
{
    struct submit *submit = context;
    struct error wait_err = { 0 };
    bool repeated = false;

    exchange_release_body(submit->exchange);
    if (err != NULL) {
        submit_fail(submit, err);
        return;
    }
    switch (added->outcome) {
    case STORE_ADDED:
        break;
    case STORE_REPEATED:
        repeated = true;
        break;
    case STORE_FAILED: /* async_store passes it as err */
        submit_fail(submit, &added->err);
        return;
    case STORE_CONFLICT:
    case STORE_CLIENT_FULL:
    case STORE_CLIENT_QUEUE_BYTES:
    case STORE_CLIENT_RESULTS_BYTES:
    case STORE_UNSERVED:
        if (submit->long_poll != NULL)
            long_poll_discard(submit->long_poll);
        refuse(submit->exchange, added->outcome);
        free(submit);
        return;
    }
    memcpy(submit->token, added->token, TOKEN_BYTES);
    if (repeated && submit->long_poll != NULL) { /* wait for the first submission under this key instead */
        long_poll_discard(submit->long_poll);
        if (submit_wait(submit, &wait_err) < 0) {
            submit_fail(submit, &wait_err);
            return;
        }
    }
    if (submit->long_poll != NULL)
        long_poll_start(submit->long_poll, repeated ? LONG_POLL_REPEATED : LONG_POLL_ADDED);
    else
        respond_accepted(submit, repeated);
    free(submit);
}

/* Fills the store's entry.  Strings grow to at most six times their size when they are escaped. */
static int encode(struct submit *submit, struct store_new *entry, struct buf *payload, struct error *err)
{
    struct submission submission;
    const struct config *config = submit->api->config;
    const struct api_client *client = exchange_client(submit->exchange);

    if (request_decode(exchange_body(submit->exchange), submit->kind, submit->api->languages, api_client_images(client),
                       config, &submission, err) < 0)
        return -1;
    submission.fresh = submit->fresh;
    if (submit->key[0] != '\0') {
        memcpy(entry->key, submit->key, sizeof entry->key);
        idempotency_hash_body(submit->exchange, submit->kind, submit->fresh, entry->body);
    }
    store_new_token(submit->api->store, entry->key, submission.token);
    if (client != NULL) {
        entry->client = client->store;
        memcpy(submission.client, client->store.name, sizeof submission.client);
        submission.share_cache = client->share_cache;
    }
    memcpy(entry->token, submission.token, TOKEN_BYTES);
    memcpy(submit->token, submission.token, TOKEN_BYTES);
    queue_name(submission_queue(&submission), submission_version(&submission), entry->queue);
    entry->priority = submission.priority;
    buf_init(payload, 6 * config->body_bytes_max + (1u << 20));
    int failed = submission_encode(&submission, payload, err);
    submission_done(&submission);
    return failed;
}

/* A decode task, or called directly. */
static void submit_run(struct decode_task *task)
{
    struct submit *submit = (struct submit *)task;
    struct store_new entry = { 0 };
    auto_buf struct buf payload = { 0 };
    struct error err = { 0 };

    if (encode(submit, &entry, &payload, &err) < 0) {
        submit_fail(submit, &err);
        return;
    }
    exchange_release_body(submit->exchange);
    if (!exchange_hold_bytes(submit->exchange, payload.cap)) {
        error_set(&err, ERROR_BUSY, 0, "too many large requests are being stored; try again in a moment");
        submit_fail(submit, &err);
        return;
    }
    if (submit->wait_us > 0 && submit_wait(submit, &err) < 0) {
        submit_fail(submit, &err);
        return;
    }
    if (async_store_add(submit->api->async_store, &entry, &payload, on_added, submit, &err) < 0)
        submit_fail(submit, &err);
}

static int read_fresh(const struct exchange *exchange, bool *ret_fresh, struct error *err)
{
    struct text text;

    *ret_fresh = false;
    if (!exchange_query(exchange, "fresh", &text))
        return 0;
    *ret_fresh = text_equal(text, TEXT("true"));
    if (!*ret_fresh && !text_equal(text, TEXT("false")))
        return error_field(err, "fresh", "expected true or false, got \"%.*s\"", (int)(text.len < 40 ? text.len : 40),
                           text.at != NULL ? text.at : "");
    return 0;
}

static void submit_begin(struct exchange *exchange, struct api *api, enum request_kind kind)
{
    struct error err = { 0 };
    struct submit *submit = calloc(1, sizeof *submit);

    if (submit == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "accept a submission");
        exchange_respond_error(exchange, &err);
        return;
    }
    *submit = (struct submit){
        .task.run = submit_run, .api = api, .exchange = exchange, .kind = kind, .wait_us = LONG_POLL_NO_DEADLINE
    };
    if (idempotency_read_key(exchange, submit->key, &err) < 0 || read_fresh(exchange, &submit->fresh, &err) < 0 ||
        (kind != REQUEST_PARALLEL && status_read_wait(exchange, api->config, &submit->wait_us, &err) < 0))
        submit_fail(submit, &err);
    else if (exchange_body(exchange).len <= INLINE_BYTES_MAX)
        submit_run(&submit->task);
    else
        decode_threads_add(api->decode_threads, &submit->task, exchange_body(exchange).len);
}

void submit_batch(struct exchange *exchange, void *api)
{
    submit_begin(exchange, api, REQUEST_BATCH);
}

void submit_single(struct exchange *exchange, void *api)
{
    submit_begin(exchange, api, REQUEST_SINGLE);
}

void submit_parallel(struct exchange *exchange, void *api)
{
    submit_begin(exchange, api, REQUEST_PARALLEL);
}
