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
#include "job/request_json.h"
#include "job/submission_json.h"

#define INLINE_BYTES_MAX 32768

struct submit {
    struct api *api;
    struct exchange *exchange;
    enum request_kind kind;
    uint64_t wait_us; /* 0: answered when it is kept */
    char token[TOKEN_BYTES];
    struct wait *wait;
    struct submit *next; /* in the intake */
};

struct intake {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct submit *first, **last;
    bool is_ending;
    pthread_t thread;
};

static void submit_fail(struct submit *submit, const struct error *err)
{
    if (submit->wait != NULL)
        wait_forget(submit->wait);
    exchange_answer_error(submit->exchange, err);
    free(submit);
}

static void answer_accepted(struct submit *submit)
{
    char location[sizeof "Location: /submissions/" + TOKEN_LEN];
    const char *headers[] = { location, NULL };
    struct buf body;
    struct error err;

    (void)snprintf(location, sizeof location, "Location: /submissions/%s", submit->token);
    buf_init(&body, 256);
    if (answer_queued(submit->token, &body, &err) < 0)
        exchange_answer_error(submit->exchange, &err);
    else
        exchange_answer(submit->exchange, 202, "application/json", &body, headers);
}

/* On the desk's clerk: it is kept, or it is not. */
static void on_added(void *context, const struct store_added *added, const struct error *err)
{
    struct submit *submit = context;
    (void)added;

    if (err != NULL) {
        submit_fail(submit, err);
        return;
    }
    if (submit->wait != NULL)
        wait_go(submit->wait, false);
    else
        answer_accepted(submit);
    free(submit);
}

/* What the store keeps of it.  Strings may grow when they are escaped, to six times their size at the very most. */
static int encode(struct submit *submit, struct store_new *entry, struct buf *payload, struct error *err)
{
    struct submission submission;
    const struct config *config = submit->api->config;

    if (request_decode(exchange_body(submit->exchange), submit->kind, submit->api->languages, config, &submission,
                       err) < 0)
        return -1;
    store_name(submit->api->store, submission.token);
    struct text lane = submission_lane(&submission);
    assert(lane.len < sizeof entry->lane);
    memcpy(entry->token, submission.token, TOKEN_BYTES);
    memcpy(submit->token, submission.token, TOKEN_BYTES);
    memcpy(entry->lane, lane.at, lane.len);
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
    enum wait_answer answer = submit->kind == REQUEST_PARALLEL ? WAIT_FOR_RESULTS : WAIT_FOR_ACCEPTED;

    if (encode(submit, &entry, &payload, &err) < 0) {
        submit_fail(submit, &err);
        return;
    }
    exchange_forget_body(submit->exchange);
    if (submit->wait_us > 0) {
        submit->wait = wait_new(submit->api->waits, submit->token, submit->exchange, answer, submit->wait_us, &err);
        if (submit->wait == NULL) {
            submit_fail(submit, &err);
            return;
        }
    }
    if (desk_add(submit->api->desk, &entry, &payload, on_added, submit, &err) < 0)
        submit_fail(submit, &err);
}

/* ---- the intake ----------------------------------------------------------------------------------------------- */

static void *take_in(void *context)
{
    struct intake *intake = context;

    (void)pthread_mutex_lock(&intake->lock);
    while (intake->first != NULL || !intake->is_ending) {
        struct submit *submit = intake->first;
        if (submit == NULL) {
            (void)pthread_cond_wait(&intake->arrived, &intake->lock);
            continue;
        }
        intake->first = submit->next;
        if (intake->first == NULL)
            intake->last = &intake->first;
        (void)pthread_mutex_unlock(&intake->lock);
        submit_run(submit);
        (void)pthread_mutex_lock(&intake->lock);
    }
    (void)pthread_mutex_unlock(&intake->lock);
    return NULL;
}

static void intake_add(struct intake *intake, struct submit *submit)
{
    (void)pthread_mutex_lock(&intake->lock);
    *intake->last = submit;
    intake->last = &submit->next;
    (void)pthread_cond_signal(&intake->arrived);
    (void)pthread_mutex_unlock(&intake->lock);
}

int intake_open(struct intake **ret, struct error *err)
{
    struct intake *intake = calloc(1, sizeof *intake);

    if (intake == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the intake");
    intake->last = &intake->first;
    (void)pthread_mutex_init(&intake->lock, NULL);
    (void)pthread_cond_init(&intake->arrived, NULL);
    int os = pthread_create(&intake->thread, NULL, take_in, intake);
    if (os != 0) {
        free(intake);
        return error_set(err, ERROR_SETUP, os, "start the intake");
    }
    *ret = intake;
    return 0;
}

void intake_close(struct intake *intake)
{
    if (intake == NULL)
        return;
    (void)pthread_mutex_lock(&intake->lock);
    intake->is_ending = true;
    (void)pthread_cond_signal(&intake->arrived);
    (void)pthread_mutex_unlock(&intake->lock);
    (void)pthread_join(intake->thread, NULL);
    (void)pthread_cond_destroy(&intake->arrived);
    (void)pthread_mutex_destroy(&intake->lock);
    free(intake);
}

/* ---- the routes ----------------------------------------------------------------------------------------------- */

static void submit_begin(struct exchange *exchange, struct api *api, enum request_kind kind)
{
    struct error err = { 0 };
    struct submit *submit = calloc(1, sizeof *submit);

    if (submit == NULL) {
        error_set(&err, ERROR_BUSY, ENOMEM, "take a submission");
        exchange_answer_error(exchange, &err);
        return;
    }
    *submit = (struct submit){ .api = api, .exchange = exchange, .kind = kind, .wait_us = WAIT_FOR_EVER };
    if (kind != REQUEST_PARALLEL && status_read_wait(exchange, api->config, &submit->wait_us, &err) < 0)
        submit_fail(submit, &err);
    else if (exchange_body(exchange).len <= INLINE_BYTES_MAX)
        submit_run(submit);
    else
        intake_add(api->intake, submit);
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
