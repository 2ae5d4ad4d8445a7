/* redis/calls: the calls of the store, one script each (scripts/NAME.lua).  Claims are in claim.c. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "queue/redis/redis_store.h"

#define ADD_HEAD_ARGS 6
#define ADD_ENTRY_ARGS 9 /* arguments of one entry; see scripts/add.lua */

/* The words that scripts/add.lua answers for an entry; a token means STORE_REPEATED. */
enum add_word {
    ADD_WORD_ADDED = 'A',
    ADD_WORD_CONFLICT = 'C',
    ADD_WORD_CLIENT_FULL = 'L', /* queued_max is reached: STORE_CLIENT_FULL, which the API answers with 429 */
    ADD_WORD_CLIENT_QUEUE_BYTES = 'Q',
    ADD_WORD_CLIENT_RESULTS_BYTES = 'R',
    ADD_WORD_UNSERVED = 'U',
};

static void add_entry(struct redis_args *args, const struct store_new *entry)
{
    static const char *const priorities[] = { "0", "1", "2" };
    static_assert(sizeof priorities / sizeof *priorities == PRIORITY_COUNT_, "every priority has a number");
    assert((unsigned)entry->priority < PRIORITY_COUNT_ && memchr(entry->queue, '\0', sizeof entry->queue) != NULL);
    redis_args_add(args, text_of(entry->token));
    redis_args_add(args, text_of(priorities[entry->priority]));
    redis_args_add(args, text_of(entry->queue));
    redis_args_add(args, entry->payload);
    redis_args_add(args, text_of(entry->client.name));
    redis_args_add_number(args, entry->client.queued_max);
    redis_args_add_number(args, entry->client.running_max);
    redis_args_add(args, text_of(entry->key));
    redis_args_add(args, text_of(entry->body));
}

/* Reads one word for each entry. */
static int read_added(struct text words, size_t len, struct store_added ret_added[], struct error *err)
{
    for (size_t i = 0; i < len; i++) {
        const char *end = words.len > 0 ? memchr(words.at, ' ', words.len) : NULL;
        size_t word_len = end != NULL ? (size_t)(end - words.at) : words.len;
        char word = word_len == 1 ? *words.at : '\0';
        if (word_len == TOKEN_LEN) {
            ret_added[i].outcome = STORE_REPEATED;
            memcpy(ret_added[i].token, words.at, TOKEN_LEN);
        } else if (word == ADD_WORD_CONFLICT) {
            ret_added[i].outcome = STORE_CONFLICT;
        } else if (word == ADD_WORD_CLIENT_FULL) {
            ret_added[i].outcome = STORE_CLIENT_FULL;
        } else if (word == ADD_WORD_CLIENT_QUEUE_BYTES) {
            ret_added[i].outcome = STORE_CLIENT_QUEUE_BYTES;
        } else if (word == ADD_WORD_CLIENT_RESULTS_BYTES) {
            ret_added[i].outcome = STORE_CLIENT_RESULTS_BYTES;
        } else if (word == ADD_WORD_UNSERVED) {
            ret_added[i].outcome = STORE_UNSERVED;
        } else if (word != ADD_WORD_ADDED) {
            return redis_bad_reply(REDIS_ADD, err);
        }
        size_t taken = word_len + (end != NULL);
        words = (struct text){ words.at + taken, words.len - taken };
    }
    return 0;
}

int redis_add(struct store *base, const struct store_new news[], size_t len, struct store_added ret_added[],
              struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (len == 0)
        return 0;
    if (redis_check_passed(store, err) < 0)
        return -1;
    if (redis_args_init(&args, store, REDIS_ADD, ADD_HEAD_ARGS + ADD_ENTRY_ARGS * len, err) < 0)
        return -1;
    redis_args_add_number(&args, store->queue_max);
    redis_args_add_number(&args, store->idempotency_ms);
    redis_args_add_number(&args, store->budgets.queue_bytes);
    redis_args_add_number(&args, store->budgets.client_queue_bytes);
    redis_args_add(&args, text_of(store->budget));
    /* Workers that start at the same time as this process get as long to register. */
    bool asks = ret_added != NULL && redis_now_ms() - store->opened_ms >= store->unserved_ms;
    redis_args_add_number(&args, asks ? store->unserved_ms : 0);
    for (size_t i = 0; i < len; i++) {
        assert(ret_added != NULL || (news[i].key[0] == '\0' && news[i].client.queued_max == 0));
        add_entry(&args, &news[i]);
    }
    if (redis_call(store, REDIS_ADD, &args, REDIS_REPLY_STRING, &reply, err) < 0)
        return -1;
    if (strcmp(reply->str, "FULL") == 0)
        return store_queue_full(store->queue_max, err);
    if (strcmp(reply->str, "BYTES") == 0)
        return store_queue_bytes_full(&store->budgets, err);
    if (strcmp(reply->str, "RESULTS") == 0)
        return store_results_full(&store->budgets, err);
    for (size_t i = 0; ret_added != NULL && i < len; i++) {
        ret_added[i] = (struct store_added){ .outcome = STORE_ADDED };
        memcpy(ret_added[i].token, news[i].token, TOKEN_BYTES);
    }
    if (strcmp(reply->str, "OK") == 0)
        return 0;
    if (ret_added == NULL)
        return redis_bad_reply(REDIS_ADD, err);
    return read_added((struct text){ reply->str, (size_t)reply->len }, len, ret_added, err);
}

/* The numbers that scripts/heartbeat.lua answers for a lease; 1 is a lost one. */
enum { LEASE_NUMBER_KEPT = 0, LEASE_NUMBER_CANCELLED = 2 };

/* ",QUEUE,QUEUE," */
static int write_queues(const struct store_worker *worker, struct buf *out, struct error *err)
{
    for (const char *const *queue = worker->queues; *queue != NULL; queue++)
        if (buf_printf(out, err, ",%s", *queue) < 0)
            return -1;
    return buf_append(out, ",", 1, err);
}

int redis_heartbeat(struct store *base, const struct store_worker *worker, struct store_lease leases[], size_t len,
                    struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_buf struct buf queues = { .max = STORE_QUEUES_BYTES_MAX };
    auto_reply redisReply *reply = NULL;
    if (write_queues(worker, &queues, err) < 0 || redis_args_init(&args, store, REDIS_HEARTBEAT, 6 + 2 * len, err) < 0)
        return -1;
    redis_args_add(&args, text_of(worker->name));
    redis_args_add_number(&args, worker->slots);
    redis_args_add_number(&args, worker->busy_milli);
    redis_args_add_number(&args, worker->running);
    redis_args_add_number(&args, store->lease_ms);
    redis_args_add(&args, buf_text(&queues));
    for (size_t i = 0; i < len; i++) {
        redis_args_add(&args, text_of(leases[i].token));
        redis_args_add_number(&args, leases[i].attempt);
    }
    if (redis_call(store, REDIS_HEARTBEAT, &args, REDIS_REPLY_ARRAY, &reply, err) < 0)
        return -1;
    if (reply->elements != len)
        return redis_bad_reply(REDIS_HEARTBEAT, err);
    for (size_t i = 0; i < len; i++) {
        uint64_t number = redis_number(reply->element[i]);
        leases[i].state = number == LEASE_NUMBER_KEPT        ? LEASE_KEPT
                          : number == LEASE_NUMBER_CANCELLED ? LEASE_CANCELLED
                                                             : LEASE_LOST;
    }
    return 0;
}

/*
 * The script stores the name of the call at the token, and a call of the same name gets the same answer.  The name is
 * made of the attempt and the worker only, so the worker may repeat a finish whose answer was lost, in this call or in
 * a later one.  The attempt alone is not enough: a Redis that lost its last second in a crash may lease the same
 * attempt to another worker.
 */
int redis_finish(struct store *base, const char *worker, const char *token, uint32_t attempt,
                 enum submission_state state, struct text result, bool *ret_kept, struct error *err)
{
    assert(submission_state_is_final(state));
    struct redis_store *store = redis_of(base);
    auto_reply redisReply *reply = NULL;
    char call[STORE_WORKER_BYTES + 16];
    (void)snprintf(call, sizeof call, "%u:%s", attempt, worker);
    if (redis_run(store, REDIS_FINISH, REDIS_REPLY_INTEGER, &reply, err, "tnnbtt", token, (uint64_t)attempt,
                  (uint64_t)state, result, store->budget, call) < 0)
        return -1;
    *ret_kept = reply->integer == 1;
    return 0;
}

int redis_release(struct store *base, const char *token, uint32_t attempt, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    return redis_run(redis_of(base), REDIS_RELEASE, REDIS_REPLY_INTEGER, &reply, err, "tn", token, (uint64_t)attempt);
}

int redis_give_back(struct store *base, const char *token, uint32_t attempt, const char *reason, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_reply redisReply *reply = NULL;
    return redis_run(store, REDIS_RETURN, REDIS_REPLY_INTEGER, &reply, err, "tnnnnttn", token, (uint64_t)attempt,
                     store->returns_max, (uint64_t)STORE_RETURN_MS_MIN, (uint64_t)STORE_RETURN_MS_MAX, reason,
                     store->budget, (uint64_t)REDIS_DEAD_MS_MAX);
}

int redis_cancel(struct store *base, const char *token, bool *ret_cancelled, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_reply redisReply *reply = NULL;
    char call[TOKEN_BYTES];
    token_new(call);
    if (redis_run(store, REDIS_CANCEL, REDIS_REPLY_INTEGER, &reply, err, "ttt", token, store->budget, call) < 0)
        return -1;
    *ret_cancelled = reply->integer == 1;
    return 0;
}

/* ---- reading ---- */

static int read_view(const redisReply *reply, struct store_view *ret, struct error *err)
{
    *ret = (struct store_view){ 0 };
    if (reply->type == REDIS_REPLY_NIL)
        return 0;
    uint64_t state = reply->type == REDIS_REPLY_ARRAY && reply->elements == 8 ? redis_number(reply->element[0])
                                                                              : SUBMISSION_STATE_COUNT_;
    if (state >= SUBMISSION_STATE_COUNT_)
        return redis_bad_reply(REDIS_GET, err);
    struct text queue = redis_text(reply->element[3]), result = { 0 };
    if (reply->element[7]->type == REDIS_REPLY_INTEGER)
        ret->left_out = redis_number(reply->element[7]);
    else
        result = redis_text(reply->element[7]);
    ret->found = true;
    ret->state = (enum submission_state)state;
    ret->cancelled = redis_number(reply->element[1]) == 1;
    ret->attempt = (uint32_t)redis_number(reply->element[2]);
    (void)snprintf(ret->queue, sizeof ret->queue, "%.*s", TEXT_ARG(queue));
    ret->created_ms = redis_number(reply->element[4]);
    ret->started_ms = redis_number(reply->element[5]);
    ret->finished_ms = redis_number(reply->element[6]);
    buf_init(&ret->result, result.len + 1);
    return result.len > 0 ? buf_append_text(&ret->result, result, err) : 0;
}

int redis_get(struct store *base, const char *const tokens[], size_t len, uint64_t result_max,
              struct store_view ret_views[], struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_args struct redis_args args = { 0 };
    auto_reply redisReply *reply = NULL;
    if (len == 0)
        return 0;
    if (redis_args_init(&args, store, REDIS_GET, len + 1, err) < 0)
        return -1;
    redis_args_add_number(&args, result_max > INT64_MAX ? INT64_MAX : result_max);
    for (size_t i = 0; i < len; i++)
        redis_args_add(&args, text_of(tokens[i]));
    if (redis_call(store, REDIS_GET, &args, REDIS_REPLY_ARRAY, &reply, err) < 0)
        return -1;
    if (reply->elements != len)
        return redis_bad_reply(REDIS_GET, err);
    for (size_t i = 0; i < len; i++) {
        if (read_view(reply->element[i], &ret_views[i], err) == 0)
            continue;
        for (size_t j = 0; j <= i; j++)
            store_view_done(&ret_views[j]);
        return -1;
    }
    return 0;
}

/* The index of a queue in *ret; QUEUE_DEPTH_QUEUES_MAX if there are too many queues. */
static size_t depth_queue(struct queue_depth *ret, struct text name)
{
    size_t i = 0;
    while (i < ret->queues_len && !text_equal(text_of(ret->queues[i].queue), name))
        i++;
    if (i == ret->queues_len && i < QUEUE_DEPTH_QUEUES_MAX) {
        (void)snprintf(ret->queues[i].queue, sizeof ret->queues[i].queue, "%.*s", TEXT_ARG(name));
        ret->queues_len++;
    }
    return i;
}

/* "pPRIORITY:QUEUE": parked submissions of named clients. */
static void read_parked(struct text field, uint64_t number, struct queue_depth *ret)
{
    unsigned priority = (unsigned)(field.at[1] - '0');
    size_t queue = depth_queue(ret, (struct text){ field.at + 3, field.len - 3 });
    ret->waiting += number;
    if (queue == QUEUE_DEPTH_QUEUES_MAX || priority >= PRIORITY_COUNT_)
        return;
    ret->queues[queue].waiting += number;
    ret->queues[queue].waiting_by[priority] += number;
}

/* "w:QUEUE" waiting in a queue, "r:QUEUE" running; the other fields are totals for the scripts. */
static void read_counts(const redisReply *counts, struct queue_depth *ret)
{
    for (size_t i = 0; i + 1 < counts->elements; i += 2) {
        struct text field = redis_text(counts->element[i]), value = redis_text(counts->element[i + 1]);
        uint64_t number;
        if (field.len < 3 || text_parse_u64(value, &number) < 0)
            continue;
        if (field.len > 3 && field.at[0] == 'p' && field.at[2] == ':')
            read_parked(field, number, ret);
        if (field.at[1] != ':')
            continue;
        size_t queue = depth_queue(ret, (struct text){ field.at + 2, field.len - 2 });
        if (field.at[0] == 'w') {
            ret->waiting += number;
            if (queue < QUEUE_DEPTH_QUEUES_MAX)
                ret->queues[queue].waiting += number;
        } else {
            ret->running += number;
            if (queue < QUEUE_DEPTH_QUEUES_MAX)
                ret->queues[queue].running = number;
        }
    }
}

/* For each queue its name, then its length by priority. */
static void read_queues(const redisReply *queues, struct queue_depth *ret)
{
    for (size_t i = 0; i + PRIORITY_COUNT_ < queues->elements; i += 1 + PRIORITY_COUNT_) {
        size_t queue = depth_queue(ret, redis_text(queues->element[i]));
        for (size_t j = 0; j < PRIORITY_COUNT_ && queue < QUEUE_DEPTH_QUEUES_MAX; j++)
            ret->queues[queue].waiting_by[j] += redis_number(queues->element[i + 1 + j]);
    }
}

/* A number in a hash, which Redis returns as text; 0 if it is not there. */
static uint64_t stored_number(const redisReply *reply)
{
    uint64_t number;
    return reply->type == REDIS_REPLY_STRING && text_parse_u64(redis_text(reply), &number) == 0 ? number : 0;
}

int redis_depth(struct store *base, struct queue_depth *ret, struct error *err)
{
    struct redis_store *store = redis_of(base);
    auto_reply redisReply *reply = NULL;
    if (redis_check_passed(store, err) < 0) /* /readyz says what redis_add says */
        return -1;
    if (redis_run(store, REDIS_DEPTH, REDIS_REPLY_ARRAY, &reply, err, "n", store->lease_ms) < 0)
        return -1;
    if (reply->elements != 8 || reply->element[0]->type != REDIS_REPLY_ARRAY ||
        reply->element[6]->type != REDIS_REPLY_ARRAY || reply->element[7]->type != REDIS_REPLY_ARRAY ||
        reply->element[7]->elements != 2)
        return redis_bad_reply(REDIS_DEPTH, err);
    *ret = (struct queue_depth){ 0 };
    read_counts(reply->element[0], ret);
    read_queues(reply->element[6], ret);
    ret->queue_bytes = stored_number(reply->element[7]->element[0]);
    ret->queue_bytes_max = store->budgets.queue_bytes;
    ret->results_bytes = stored_number(reply->element[7]->element[1]);
    ret->results_bytes_max = store->budgets.results_bytes;
    ret->oldest_wait_ms = redis_number(reply->element[1]);
    ret->dead = redis_number(reply->element[2]);
    ret->workers = (uint32_t)redis_number(reply->element[3]);
    ret->slots = (uint32_t)redis_number(reply->element[4]);
    ret->busy_milli = redis_number(reply->element[5]);
    return 0;
}

/* ---- housekeeping ---- */

int redis_reap_expired(struct store *base, struct error *err)
{
    struct redis_store *store = redis_of(base);
    bool more = true;
    redis_check_again(store);
    while (more) { /* in parts, so that other calls get through in between */
        auto_reply redisReply *reply = NULL;
        if (redis_run(store, REDIS_REAP_EXPIRED, REDIS_REPLY_INTEGER, &reply, err, "ntnnnn", store->attempts_max,
                      store->budget, store->lease_ms, (uint64_t)REDIS_DEAD_MAX, (uint64_t)REDIS_DEAD_MS_MAX,
                      store->budgets.queue_bytes / STORE_DEAD_SHARE) < 0)
            return -1;
        more = reply->integer == 1;
    }
    return 0;
}

int redis_forget_worker(struct store *base, const char *name, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    return redis_run(redis_of(base), REDIS_FORGET, REDIS_REPLY_INTEGER, &reply, err, "t", name);
}

/* ---- the shared cache ---- */

int redis_cache_get(struct store *base, const char *key, struct buf *ret, bool *ret_found, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    if (redis_run(redis_of(base), REDIS_SHARED_GET, REDIS_REPLY_ARRAY, &reply, err, "t", key) < 0)
        return -1;
    *ret_found = reply->elements > 0;
    return *ret_found ? buf_append_text(ret, redis_text(reply->element[0]), err) : 0;
}

int redis_cache_put(struct store *base, const char *key, struct text bytes, uint64_t bytes_max, struct error *err)
{
    auto_reply redisReply *reply = NULL;
    return redis_run(redis_of(base), REDIS_SHARED_PUT, REDIS_REPLY_INTEGER, &reply, err, "tbn", key, bytes, bytes_max);
}
