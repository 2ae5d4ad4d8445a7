/*
 * submit: POST /execute, /execute/batch and /execute-parallel.
 *
 * The path of a submission: decode and check, encode for the store, leave it at the desk, and answer when the desk says
 * that it is kept.  Small bodies are decoded on the HTTP thread; decoding takes some 10 ms a megabyte, so large ones go
 * to a thread of their own, the intake, and hold up nobody but each other.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>

#include "api/answer.h"
#include "api/routes.h"
#include "base/hash.h"
#include "codec/request_json.h"
#include "codec/submission_json.h"

#define INLINE_BYTES_MAX 32768
#define KEY_BYTES_MAX 255

struct submit {
    struct api *api;
    struct exchange *exchange;
    enum request_kind kind;
    uint64_t wait_us; /* 0: answered when it is kept */
    bool fresh;       /* ?fresh=true */
    char token[TOKEN_BYTES];
    char key[HASH_HEX_BYTES]; /* "": no Idempotency-Key */
    struct long_poll *long_poll;
    struct submit *next; /* in the intake */
};

struct decode_thread {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct submit *first, **last;
    bool is_ending;
    pthread_t thread;
};

static void submit_fail(struct submit *submit, const struct error *err)
{
    if (submit->long_poll != NULL)
        long_poll_forget(submit->long_poll);
    exchange_answer_error(submit->exchange, err);
    free(submit);
}

static void answer_accepted(struct submit *submit, bool repeated)
{
    char location[sizeof "Location: /submissions/" + TOKEN_LEN];
    const char *headers[] = { location, repeated ? "Idempotent-Replayed: true" : NULL, NULL };
    struct buf body;
    struct error err;

    (void)snprintf(location, sizeof location, "Location: /submissions/%s", submit->token);
    buf_init(&body, 256);
    if (answer_queued(submit->token, &body, &err) < 0)
        exchange_answer_error(submit->exchange, &err);
    else
        exchange_answer(submit->exchange, 202, "application/json", &body, headers);
}

static void submit_refuse(struct submit *submit, enum store_outcome outcome)
{
    static const struct refusal conflict = { 409, "Idempotency-Key", "this key was used with another body" };
    static const struct refusal full = {
        429, "", "you have as many submissions waiting as you may; try again when some have been run"
    };
    static const char *const retry[] = { "Retry-After: 1", NULL };

    if (submit->long_poll != NULL)
        long_poll_forget(submit->long_poll);
    if (outcome == STORE_CONFLICT)
        exchange_answer_problem(submit->exchange, &conflict, "idempotency_conflict", NULL);
    else
        exchange_answer_problem(submit->exchange, &full, "client_queue_full", retry);
    free(submit);
}

static int submit_wait(struct submit *submit, struct error *err)
{
    enum long_poll_answer answer = submit->kind == REQUEST_PARALLEL ? LONG_POLL_RESULTS : LONG_POLL_ACCEPTED;

    submit->long_poll =
        long_poll_new(submit->api->long_polls, submit->token, submit->exchange, answer, submit->wait_us, err);
    return submit->long_poll != NULL ? 0 : -1;
}

/* On the desk's clerk: it is kept, or it is not. */
static void on_added(void *context, const struct store_added *added, const struct error *err)
{
    struct submit *submit = context;
    struct error own = { 0 };

    if (err != NULL) {
        submit_fail(submit, err);
        return;
    }
    if (added->outcome == STORE_CONFLICT || added->outcome == STORE_CLIENT_FULL) {
        submit_refuse(submit, added->outcome);
        return;
    }
    bool repeated = added->outcome == STORE_REPEATED;
    memcpy(submit->token, added->token, TOKEN_BYTES);
    if (repeated && submit->long_poll != NULL) { /* it is the first one that is waited for */
        long_poll_forget(submit->long_poll);
        if (submit_wait(submit, &own) < 0) {
            submit_fail(submit, &own);
            return;
        }
    }
    if (submit->long_poll != NULL)
        long_poll_go(submit->long_poll, repeated);
    else
        answer_accepted(submit, repeated);
    free(submit);
}

/* The store knows a key by a hash, so that no client can meet another's, and a body by another. */
static void set_key(const struct submit *submit, struct store_new *entry)
{
    struct hash hash;

    memcpy(entry->key, submit->key, sizeof entry->key);
    hash_start(&hash);
    hash_add_u64(&hash, submit->kind + (submit->fresh ? 16u : 0u));
    hash_add(&hash, exchange_body(submit->exchange));
    hash_finish(&hash, entry->body);
}

/* What the store keeps of it.  Strings may grow when they are escaped, to six times their size at the very most. */
static int encode(struct submit *submit, struct store_new *entry, struct buf *payload, struct error *err)
{
    struct submission submission;
    const struct config *config = submit->api->config;

    if (request_decode(exchange_body(submit->exchange), submit->kind, submit->api->languages, config, &submission,
                       err) < 0)
        return -1;
    submission.fresh = submit->fresh;
    if (submit->key[0] != '\0')
        set_key(submit, entry);
    store_new_token(submit->api->store, entry->key, submission.token);
    if (exchange_client(submit->exchange) != NULL)
        memcpy(&entry->client, exchange_client(submit->exchange), sizeof entry->client);
    struct text queue = submission_queue(&submission);
    assert(queue.len < sizeof entry->queue);
    memcpy(entry->token, submission.token, TOKEN_BYTES);
    memcpy(submit->token, submission.token, TOKEN_BYTES);
    memcpy(entry->queue, queue.at, queue.len);
    entry->priority = submission.priority;
    buf_init(payload, 6 * config->body_bytes_max + (1u << 20));
    int failed = submission_encode(&submission, payload, err);
    submission_done(&submission);
    return failed;
}

static void submit_run(struct submit *submit)
{
    struct store_new entry = { 0 };
    auto_buf struct buf payload = { 0 };
    struct error err = { 0 };

    if (encode(submit, &entry, &payload, &err) < 0) {
        submit_fail(submit, &err);
        return;
    }
    exchange_forget_body(submit->exchange);
    if (submit->wait_us > 0 && submit_wait(submit, &err) < 0) {
        submit_fail(submit, &err);
        return;
    }
    if (async_store_add(submit->api->async_store, &entry, &payload, on_added, submit, &err) < 0)
        submit_fail(submit, &err);
}

/* ---- the intake ----------------------------------------------------------------------------------------------- */

static void *take_in(void *context)
{
    struct decode_thread *decode_thread = context;

    (void)pthread_mutex_lock(&decode_thread->lock);
    while (decode_thread->first != NULL || !decode_thread->is_ending) {
        struct submit *submit = decode_thread->first;
        if (submit == NULL) {
            (void)pthread_cond_wait(&decode_thread->arrived, &decode_thread->lock);
            continue;
        }
        decode_thread->first = submit->next;
        if (decode_thread->first == NULL)
            decode_thread->last = &decode_thread->first;
        (void)pthread_mutex_unlock(&decode_thread->lock);
        submit_run(submit);
        (void)pthread_mutex_lock(&decode_thread->lock);
    }
    (void)pthread_mutex_unlock(&decode_thread->lock);
    return NULL;
}

static void decode_thread_add(struct decode_thread *decode_thread, struct submit *submit)
{
    (void)pthread_mutex_lock(&decode_thread->lock);
    *decode_thread->last = submit;
    decode_thread->last = &submit->next;
    (void)pthread_cond_signal(&decode_thread->arrived);
    (void)pthread_mutex_unlock(&decode_thread->lock);
}

int decode_thread_open(struct decode_thread **ret, struct error *err)
{
    struct decode_thread *decode_thread = calloc(1, sizeof *decode_thread);

    if (decode_thread == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the intake");
    decode_thread->last = &decode_thread->first;
    (void)pthread_mutex_init(&decode_thread->lock, NULL);
    (void)pthread_cond_init(&decode_thread->arrived, NULL);
    int os = pthread_create(&decode_thread->thread, NULL, take_in, decode_thread);
    if (os != 0) {
        free(decode_thread);
        return error_set(err, ERROR_SETUP, os, "start the intake");
    }
    *ret = decode_thread;
    return 0;
}

void decode_thread_close(struct decode_thread *decode_thread)
{
    if (decode_thread == NULL)
        return;
    (void)pthread_mutex_lock(&decode_thread->lock);
    decode_thread->is_ending = true;
    (void)pthread_cond_signal(&decode_thread->arrived);
    (void)pthread_mutex_unlock(&decode_thread->lock);
    (void)pthread_join(decode_thread->thread, NULL);
    (void)pthread_cond_destroy(&decode_thread->arrived);
    (void)pthread_mutex_destroy(&decode_thread->lock);
    free(decode_thread);
}

/* ---- the routes ----------------------------------------------------------------------------------------------- */

static int read_key(struct submit *submit, struct error *err)
{
    const struct store_client *client = exchange_client(submit->exchange);
    struct hash hash;
    struct text key;

    if (!exchange_header(submit->exchange, "Idempotency-Key", &key))
        return 0;
    bool is_valid = key.len >= 1 && key.len <= KEY_BYTES_MAX;
    for (size_t i = 0; i < key.len && is_valid; i++)
        is_valid = key.at[i] >= 0x20 && key.at[i] <= 0x7e;
    if (!is_valid)
        return error_field(err, "Idempotency-Key", "expected 1 to %d printable ASCII characters", KEY_BYTES_MAX);
    hash_start(&hash);
    hash_add(&hash, text_of(client != NULL ? client->name : ""));
    hash_add(&hash, key);
    hash_finish(&hash, submit->key);
    return 0;
}

static int read_fresh(struct submit *submit, struct error *err)
{
    struct text text;

    if (!exchange_query(submit->exchange, "fresh", &text))
        return 0;
    submit->fresh = text_equal(text, TEXT("true"));
    if (!submit->fresh && !text_equal(text, TEXT("false")))
        return error_field(err, "fresh", "expected true or false, got \"%.*s\"", (int)(text.len < 40 ? text.len : 40),
                           text.at != NULL ? text.at : "");
    return 0;
}

static void submit_begin(struct exchange *exchange, struct api *api, enum request_kind kind)
{
    struct error err = { 0 };
    struct submit *submit = calloc(1, sizeof *submit);

    if (submit == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "take a submission");
        exchange_answer_error(exchange, &err);
        return;
    }
    *submit = (struct submit){ .api = api, .exchange = exchange, .kind = kind, .wait_us = LONG_POLL_EVER };
    if (read_key(submit, &err) < 0 || read_fresh(submit, &err) < 0 ||
        (kind != REQUEST_PARALLEL && status_read_wait(exchange, api->config, &submit->wait_us, &err) < 0))
        submit_fail(submit, &err);
    else if (exchange_body(exchange).len <= INLINE_BYTES_MAX)
        submit_run(submit);
    else
        decode_thread_add(api->decode_thread, submit);
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
