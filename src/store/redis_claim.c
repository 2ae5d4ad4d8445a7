/*
 * redis_claim: asking for submissions, and waiting for one.
 *
 * Every lane has a bell: a list with one entry for each submission that waits there.  An asker first asks; told
 * that there is nothing, it blocks in BLPOP on the bells of its lanes.  Redis hands an entry to the one that has
 * blocked longest, to nobody else, and forgets askers that are gone.  The one who got it asks again, and says whose
 * bell it took, so that the script can put it back where another lane's submission was older.  An asker that finds
 * work without waiting takes its bells along (claim.lua).  The sweep rings for a bell that was lost with its asker.
 *
 * A wait is cut into slices, so that a server that hangs is noticed within 5 s; the end of a slice asks nothing.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/scope.h"
#include "store/redis_internal.h"

#define SLICE_MS 2000
#define CLAIM_WORDS 4 /* token, attempt, waited_ms, payload */

static void asker_free(struct redis_asker *asker)
{
    if (asker == NULL)
        return;
    redis_link_close(asker->link);
    if (asker->wake_fd >= 0)
        (void)close(asker->wake_fd);
    free(asker);
}

int redis_asker_take(struct redis_store *store, struct redis_asker **ret, struct error *err)
{
    (void)pthread_mutex_lock(&store->askers_lock);
    struct redis_asker *asker = store->idle;
    if (asker != NULL)
        store->idle = asker->next;
    (void)pthread_mutex_unlock(&store->askers_lock);
    if (asker == NULL) {
        asker = calloc(1, sizeof *asker);
        if (asker == NULL)
            return error_set(err, ERROR_STORE, ENOMEM, "claim");
        token_new(asker->name);
        asker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (asker->wake_fd < 0) {
            error_set(err, ERROR_STORE, errno, "claim");
            asker_free(asker);
            return -1;
        }
    }
    *ret = asker;
    return 0;
}

void redis_asker_give(struct redis_store *store, struct redis_asker *asker)
{
    (void)pthread_mutex_lock(&store->askers_lock);
    asker->next = store->idle;
    store->idle = asker;
    (void)pthread_mutex_unlock(&store->askers_lock);
}

void redis_askers_done(struct redis_store *store)
{
    assert(store->waiting == NULL);
    while (store->idle != NULL) {
        struct redis_asker *asker = store->idle;
        store->idle = asker->next;
        asker_free(asker);
    }
}

bool redis_start_waiting(struct redis_store *store, struct redis_asker *asker)
{
    (void)pthread_mutex_lock(&store->askers_lock);
    bool may_wait = !store->wake_is_pending;
    store->wake_is_pending = false;
    if (may_wait) {
        asker->next = store->waiting;
        store->waiting = asker;
    }
    (void)pthread_mutex_unlock(&store->askers_lock);
    return may_wait;
}

void redis_stop_waiting(struct redis_store *store, struct redis_asker *asker)
{
    uint64_t woken;
    (void)pthread_mutex_lock(&store->askers_lock);
    struct redis_asker **at = &store->waiting;
    while (*at != asker)
        at = &(*at)->next;
    *at = asker->next;
    if (read(asker->wake_fd, &woken, sizeof woken) < 0)
        assert(errno == EAGAIN);
    (void)pthread_mutex_unlock(&store->askers_lock);
}

void redis_wake(struct store *base)
{
    struct redis_store *store = redis_of(base);
    (void)pthread_mutex_lock(&store->askers_lock);
    store->wake_is_pending = store->waiting == NULL;
    for (struct redis_asker *asker = store->waiting; asker != NULL; asker = asker->next)
        if (eventfd_write(asker->wake_fd, 1) < 0)
            assert(errno == EAGAIN); /* woken very often already */
    (void)pthread_mutex_unlock(&store->askers_lock);
}

/* ---- asking ---- */

static int read_claims(const redisReply *reply, size_t max, struct store_claim ret_claims[], size_t *ret_len,
                       struct error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % CLAIM_WORDS != 0 ||
        reply->elements / CLAIM_WORDS > max)
        return redis_answer_is_odd(REDIS_CLAIM, err);
    size_t len = 0;
    for (size_t i = 0; i < reply->elements; i += CLAIM_WORDS) {
        redisReply **words = &reply->element[i];
        struct store_claim *claim = &ret_claims[len++];
        *claim = (struct store_claim){ 0 };
        int result = 0;
        if (words[0]->type != REDIS_REPLY_STRING || words[1]->type != REDIS_REPLY_INTEGER ||
            words[2]->type != REDIS_REPLY_INTEGER || words[3]->type != REDIS_REPLY_STRING) {
            result = redis_answer_is_odd(REDIS_CLAIM, err);
        } else {
            (void)snprintf(claim->token, sizeof claim->token, "%s", words[0]->str);
            claim->attempt = (uint32_t)words[1]->integer;
            claim->waited_ms = words[2]->integer > 0 ? (uint64_t)words[2]->integer : 0;
            buf_init(&claim->payload, (size_t)words[3]->len + 1);
            if (words[3]->len > 0)
                result = buf_append(&claim->payload, words[3]->str, (size_t)words[3]->len, err);
        }
        if (result < 0) {
            while (len > 0)
                store_claim_done(&ret_claims[--len]);
            return -1;
        }
    }
    *ret_len = len;
    return 0;
}

/* Once on the asker's connection, made if it has none. */
static int ask_once(struct redis_store *store, struct redis_asker *asker, const struct redis_question *question,
                    redisReply **ret, bool *ret_broke, struct error *err)
{
    auto_args struct redis_args args = { 0 };
    *ret_broke = false;
    if (asker->link == NULL && redis_pool_connect(&store->pool, &asker->link, err) < 0)
        return -1;
    if (redis_args_init(&args, store, REDIS_CLAIM, 7 + question->lanes_len, err) < 0)
        return -1;
    redis_args_add(&args, text_of(question->worker->name));
    redis_args_add_number(&args, store->lease_ms);
    redis_args_add_number(&args, question->max);
    redis_args_add(&args, text_of(asker->name));
    redis_args_add_number(&args, asker->number);
    redis_args_add(&args, asker->is_unanswered ? TEXT("1") : TEXT("0"));
    redis_args_add(&args, text_of(question->rung));
    for (size_t i = 0; i < question->lanes_len; i++)
        redis_args_add(&args, text_of(question->worker->lanes[i]));
    asker->is_unanswered = true;
    if (redis_ask(asker->link, REDIS_CLAIM, &args, ret, ret_broke, err) < 0) {
        if (*ret_broke) {
            redis_pool_drop(&store->pool, asker->link);
            asker->link = NULL;
        } else {
            asker->is_unanswered = false; /* the server said no */
        }
        return -1;
    }
    asker->is_unanswered = false;
    return 0;
}

int redis_asker_ask(struct redis_store *store, struct redis_asker *asker, const struct redis_question *question,
                    size_t *ret_len, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    uint64_t start_ms = redis_now_ms();
    bool broke = false;
    if (!asker->is_unanswered)
        asker->number++; /* else the old question, so that what was given for it comes to light */
    if (ask_once(store, asker, question, &reply, &broke, err) < 0 &&
        (!broke || redis_now_ms() - start_ms > 1000 || ask_once(store, asker, question, &reply, &broke, err) < 0))
        return -1;
    return read_claims(reply, question->max, question->ret_claims, ret_len, err);
}

/* ---- waiting ---- */

/* BLPOP bell... seconds */
int redis_asker_rest(struct redis_store *store, struct redis_asker *asker, const struct redis_question *question,
                     uint64_t slice_ms, struct error *err)
{
    auto_free const char **args = calloc(question->lanes_len + 2, sizeof *args);
    auto_free char(*bells)[sizeof store->prefix + 48] = calloc(question->lanes_len, sizeof *bells);
    if (args == NULL || bells == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "claim");
    char seconds[32];
    (void)snprintf(seconds, sizeof seconds, "%llu.%03u", (unsigned long long)(slice_ms / 1000),
                   (unsigned)(slice_ms % 1000));
    args[0] = "BLPOP";
    for (size_t i = 0; i < question->lanes_len; i++) {
        (void)snprintf(bells[i], sizeof bells[i], "%sbell:%s", store->prefix, question->worker->lanes[i]);
        args[i + 1] = bells[i];
    }
    args[question->lanes_len + 1] = seconds;
    return redis_link_send(asker->link, question->lanes_len + 2, args, NULL, redis_now_ms() + REDIS_CALL_MS, err);
}

enum redis_rest redis_asker_rested(const struct redis_store *store, const redisReply *reply,
                                   struct redis_question *question, struct error *err)
{
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        const char *bell = reply->element[0]->str;
        (void)snprintf(question->rung, sizeof question->rung, "%s",
                       bell + strlen(store->prefix) + strlen("bell:"));
        return REST_RUNG;
    }
    if (reply->type == REDIS_REPLY_NIL)
        return REST_QUIET;
    if (reply->type == REDIS_REPLY_ERROR)
        (void)redis_error(reply, "wait for a submission", err); /* UNBLOCKED: it became a replica */
    else
        (void)redis_answer_is_odd(REDIS_CLAIM, err);
    return REST_FAILED;
}

/* One slice of waiting.  A broken connection is REST_QUIET: the next question finds out whether Redis is there. */
static enum redis_rest rest_once(struct redis_store *store, struct redis_asker *asker, struct redis_question *question,
                                 uint64_t slice_ms, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    enum redis_rest rest = REST_QUIET;
    uint64_t late_ms = redis_now_ms() + slice_ms + REDIS_CALL_MS;
    bool broke = redis_asker_rest(store, asker, question, slice_ms, err) < 0;
    int got = broke ? -1 : redis_link_receive(asker->link, late_ms, asker->wake_fd, &reply, err);
    if (got == 1)
        rest = redis_asker_rested(store, reply, question, err);
    if (rest == REST_RUNG || (got == 1 && rest == REST_QUIET))
        return rest;
    if (got == 0 && redis_now_ms() >= late_ms) {
        (void)error_set(err, ERROR_STORE, ETIMEDOUT, "wait for a submission: Redis gives no answer");
        rest = REST_FAILED;
    } else if (got == 0) {
        rest = REST_WOKEN; /* the server still thinks we wait: the connection goes with the wait */
    }
    redis_link_close(asker->link);
    asker->link = NULL;
    return rest;
}

static int claim_or_wait(struct redis_store *store, struct redis_asker *asker, struct redis_question *question,
                         uint64_t deadline_ms, size_t *ret_len, struct error *err)
{
    size_t len = 0;
    while (true) {
        if (redis_asker_ask(store, asker, question, &len, err) < 0)
            return -1;
        question->rung[0] = '\0';
        enum redis_rest rest = REST_QUIET;
        while (len == 0 && rest == REST_QUIET && asker->link != NULL && question->lanes_len > 0) {
            uint64_t now = redis_now_ms();
            if (now >= deadline_ms)
                break;
            if (!redis_start_waiting(store, asker)) {
                rest = REST_WOKEN;
                break;
            }
            uint64_t left = deadline_ms - now;
            rest = rest_once(store, asker, question, left < SLICE_MS ? left : SLICE_MS, err);
            redis_stop_waiting(store, asker);
        }
        if (rest == REST_FAILED)
            return -1;
        if (len > 0 || rest == REST_WOKEN || (rest == REST_QUIET && redis_now_ms() >= deadline_ms) ||
            question->lanes_len == 0)
            break;
    }
    *ret_len = len;
    return 0;
}

int redis_claim(struct store *base, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    struct redis_store *store = redis_of(base);
    struct redis_question question = { .worker = worker, .max = max, .ret_claims = ret_claims };
    struct redis_asker *asker = NULL;
    while (worker->lanes[question.lanes_len] != NULL)
        question.lanes_len++;
    if (max == 0) {
        *ret_len = 0;
        return 0;
    }
    if (redis_asker_take(store, &asker, err) < 0)
        return -1;
    int result = claim_or_wait(store, asker, &question, redis_now_ms() + wait_ms, ret_len, err);
    redis_asker_give(store, asker);
    return result;
}
