/*
 * desk: two clerks, each with a list of orders; see desk.h.
 *
 * A clerk takes its whole list at once, so whatever came while it served the last group is the next group: the busier
 * the API, the larger the groups, and one order alone waits for nobody.  Orders are served in the order they came, so
 * a cancel after an add of the same submission finds it.
 *
 * Adds of different clients share one store_add_each (for each place of the store), which is all or nothing but for
 * what is one's own fault.  Where the store refuses a group (it is full), each is asked for alone, so that one client's
 * refusal is not another's.
 */
#include "queue/async_store.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_LEN_MAX 256
#define GROUP_BYTES_MAX (64u << 20) /* of payload in one group */
#define GET_LEN_MAX 64              /* results of so many are in memory at one time */

enum request_kind { REQUEST_ADD, REQUEST_GET, REQUEST_HAND, REQUEST_CANCEL, REQUEST_RETRY, REQUEST_READ };

struct request {
    enum request_kind kind;
    char token[TOKEN_BYTES];
    struct store_new entry; /* REQUEST_ADD; its payload is `payload` */
    struct buf payload;
    struct store_view view; /* REQUEST_HAND */
    async_store_added *added;
    async_store_got *got;
    async_store_cancelled *cancelled;
    async_store_retried *retried;
    async_store_reader *read;
    async_store_read_done *read_done;
    void *context;
    struct request *next;
};

struct io_thread {
    struct async_store *async_store;
    pthread_t thread;
    pthread_cond_t wakeup; /* with desk->lock */
    struct request *first, *last;
};

struct async_store {
    struct store *store;
    size_t requests_max;
    pthread_mutex_t lock; /* the two lists, requests_len, is_closing */
    size_t requests_len;  /* taken and not answered */
    bool is_closing;
    struct io_thread writer, reader;
};

static void request_free(struct request *request)
{
    buf_done(&request->payload);
    free(request);
}

/* ---- serving ---- */

/* Frees the answered orders and makes room for others. */
static void put_away(struct async_store *async_store, struct request *requests[], size_t len)
{
    for (size_t i = 0; i < len; i++)
        request_free(requests[i]);
    (void)pthread_mutex_lock(&async_store->lock);
    assert(async_store->requests_len >= len);
    async_store->requests_len -= len;
    (void)pthread_mutex_unlock(&async_store->lock);
}

/* Takes those of the first one's place out of *orders, in their order; the others stay, in theirs. */
static size_t take_shard(struct store *store, struct request *requests[], size_t *len, struct request *ret_part[])
{
    unsigned place = store_shard(store, requests[0]->token);
    size_t part_len = 0, left = 0;
    for (size_t i = 0; i < *len; i++) {
        if (store_shard(store, requests[i]->token) == place)
            ret_part[part_len++] = requests[i];
        else
            requests[left++] = requests[i];
    }
    *len = left;
    return part_len;
}

static void serve_adds(struct async_store *async_store, struct request *requests[], size_t len)
{
    struct store_new news[GROUP_LEN_MAX];
    struct store_added added[GROUP_LEN_MAX];
    struct error err = { 0 };
    assert(len > 0 && len <= GROUP_LEN_MAX);
    for (size_t i = 0; i < len; i++)
        news[i] = requests[i]->entry;

    bool together = store_add_each(async_store->store, news, len, added, &err) == 0;
    /* A store that is away is away for each of them; asking for each would only take its time-out many times. */
    bool one_by_one = !together && len > 1 && err.kind != ERROR_STORE;
    for (size_t i = 0; i < len; i++) {
        struct error own = err;
        bool served = together || (one_by_one && store_add_each(async_store->store, &news[i], 1, &added[i], &own) == 0);
        requests[i]->added(requests[i]->context, served ? &added[i] : NULL, served ? NULL : &own);
    }
}

static void serve_gets(struct async_store *async_store, struct request *requests[], size_t len)
{
    const char *tokens[GET_LEN_MAX];
    struct store_view views[GET_LEN_MAX] = { 0 };
    struct error err = { 0 };
    assert(len > 0 && len <= GET_LEN_MAX);
    for (size_t i = 0; i < len; i++)
        tokens[i] = requests[i]->token;
    bool got = store_get(async_store->store, tokens, len, views, &err) == 0;
    for (size_t i = 0; i < len; i++) {
        if (!got)
            views[i] = (struct store_view){ 0 };
        requests[i]->got(requests[i]->context, &views[i], got ? NULL : &err);
    }
}

/* A place of its own for each call, so that one that is away fails only those that live there. */
static void serve_by_shard(struct async_store *async_store, struct request *const group[], size_t len,
                           void serve_part(struct async_store *, struct request *[], size_t))
{
    struct request *left[GROUP_LEN_MAX], *part[GROUP_LEN_MAX];
    assert(len <= GROUP_LEN_MAX);
    memcpy(left, group, len * sizeof *left);
    while (len > 0) {
        size_t part_len = take_shard(async_store->store, left, &len, part);
        serve_part(async_store, part, part_len);
    }
}

static void serve_cancel(struct async_store *async_store, struct request *request)
{
    struct error err = { 0 };
    bool cancelled = false;
    bool done = store_cancel(async_store->store, request->token, &cancelled, &err) == 0;
    request->cancelled(request->context, done && cancelled, done ? NULL : &err);
}

static void serve_retry(struct async_store *async_store, struct request *request)
{
    struct error err = { 0 };
    bool retried = false;
    bool done = store_dead_retry(async_store->store, request->token, &retried, &err) == 0;
    request->retried(request->context, done && retried, done ? NULL : &err);
}

static void serve_read(struct async_store *async_store, struct request *request)
{
    struct error err = { 0 };
    bool done = request->read(async_store->store, request->context, &err) == 0;
    request->read_done(request->context, done ? NULL : &err);
}

/* Takes orders of one kind off the front of the list, as many as go in one group. */
static size_t next_group(struct request **list, struct request *group[GROUP_LEN_MAX])
{
    enum request_kind kind = (*list)->kind;
    size_t len_max = kind == REQUEST_ADD ? GROUP_LEN_MAX : kind == REQUEST_GET ? GET_LEN_MAX : 1;
    size_t len = 0, bytes = 0;
    while (*list != NULL && (*list)->kind == kind && len < len_max) {
        if (len > 0 && bytes + (*list)->payload.len > GROUP_BYTES_MAX)
            break;
        bytes += (*list)->payload.len;
        group[len++] = *list;
        *list = (*list)->next;
    }
    return len;
}

static void serve(struct async_store *async_store, struct request *list)
{
    while (list != NULL) {
        struct request *group[GROUP_LEN_MAX];
        size_t len = next_group(&list, group);
        switch (group[0]->kind) {
        case REQUEST_ADD:
            serve_by_shard(async_store, group, len, serve_adds);
            break;
        case REQUEST_GET:
            serve_by_shard(async_store, group, len, serve_gets);
            break;
        case REQUEST_HAND:
            group[0]->got(group[0]->context, &group[0]->view, NULL);
            break;
        case REQUEST_CANCEL:
            serve_cancel(async_store, group[0]);
            break;
        case REQUEST_RETRY:
            serve_retry(async_store, group[0]);
            break;
        case REQUEST_READ:
            serve_read(async_store, group[0]);
            break;
        }
        put_away(async_store, group, len);
    }
}

static void *io_thread_loop(void *context)
{
    struct io_thread *io_thread = context;
    struct async_store *async_store = io_thread->async_store;
    (void)pthread_mutex_lock(&async_store->lock);
    while (true) {
        while (io_thread->first == NULL && !async_store->is_closing)
            (void)pthread_cond_wait(&io_thread->wakeup, &async_store->lock);
        struct request *list = io_thread->first;
        if (list == NULL)
            break;
        io_thread->first = io_thread->last = NULL;
        (void)pthread_mutex_unlock(&async_store->lock);
        serve(async_store, list);
        (void)pthread_mutex_lock(&async_store->lock);
    }
    (void)pthread_mutex_unlock(&async_store->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static int io_thread_start(struct io_thread *io_thread, struct async_store *async_store, struct error *err)
{
    io_thread->async_store = async_store;
    (void)pthread_cond_init(&io_thread->wakeup, NULL);
    int os = pthread_create(&io_thread->thread, NULL, io_thread_loop, io_thread);
    return os == 0 ? 0 : error_set(err, ERROR_SETUP, os, "start the store's desk");
}

static void io_thread_end(struct io_thread *io_thread)
{
    (void)pthread_mutex_lock(&io_thread->async_store->lock);
    io_thread->async_store->is_closing = true;
    (void)pthread_cond_signal(&io_thread->wakeup);
    (void)pthread_mutex_unlock(&io_thread->async_store->lock);
    (void)pthread_join(io_thread->thread, NULL);
    (void)pthread_cond_destroy(&io_thread->wakeup);
}

int async_store_open(struct store *store, size_t requests_max, struct async_store **ret, struct error *err)
{
    struct async_store *async_store = calloc(1, sizeof *async_store);
    if (async_store == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "start the store's desk");
    async_store->store = store;
    async_store->requests_max = requests_max;
    (void)pthread_mutex_init(&async_store->lock, NULL);
    if (io_thread_start(&async_store->writer, async_store, err) < 0)
        goto undo;
    if (io_thread_start(&async_store->reader, async_store, err) < 0) {
        io_thread_end(&async_store->writer);
        goto undo;
    }
    *ret = async_store;
    return 0;

undo:
    (void)pthread_mutex_destroy(&async_store->lock);
    free(async_store);
    return -1;
}

void async_store_close(struct async_store *async_store)
{
    if (async_store == NULL)
        return;
    io_thread_end(&async_store->writer);
    io_thread_end(&async_store->reader);
    assert(async_store->requests_len == 0);
    (void)pthread_mutex_destroy(&async_store->lock);
    free(async_store);
}

/* ---- taking orders ---- */

/* Takes over *order's content where it returns 0. */
static int take_request(struct async_store *async_store, struct io_thread *io_thread, const struct request *request,
                        struct error *err)
{
    struct request *kept = malloc(sizeof *kept);
    if (kept == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "no memory for a request");
    *kept = *request;
    if (kept->kind == REQUEST_ADD)
        kept->entry.payload = buf_text(&kept->payload);

    (void)pthread_mutex_lock(&async_store->lock);
    int result = 0;
    if (async_store->is_closing) {
        result = error_set(err, ERROR_BUSY, 0, "the server is stopping");
    } else if (async_store->requests_len >= async_store->requests_max) {
        result = error_set(err, ERROR_BUSY, 0, "too many requests wait for the store (%zu)", async_store->requests_len);
    } else {
        if (io_thread->last != NULL)
            io_thread->last->next = kept;
        else
            io_thread->first = kept;
        io_thread->last = kept;
        async_store->requests_len++;
        (void)pthread_cond_signal(&io_thread->wakeup);
    }
    (void)pthread_mutex_unlock(&async_store->lock);
    if (result < 0)
        free(kept);
    return result;
}

int async_store_add(struct async_store *async_store, const struct store_new *entry, struct buf *payload,
                    async_store_added *done, void *context, struct error *err)
{
    struct request request = {
        .kind = REQUEST_ADD, .entry = *entry, .payload = *payload, .added = done, .context = context
    };
    memcpy(request.token, entry->token, sizeof request.token);
    if (take_request(async_store, &async_store->writer, &request, err) < 0)
        return -1;
    *payload = (struct buf){ .max = payload->max };
    return 0;
}

int async_store_get(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_got *done,
                    void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_GET, .got = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    return take_request(async_store, &async_store->reader, &request, err);
}

int async_store_deliver(struct async_store *async_store, const char token[TOKEN_BYTES], struct store_view *view,
                        async_store_got *done, void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_HAND, .view = *view, .got = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    if (take_request(async_store, &async_store->reader, &request, err) < 0)
        return -1;
    *view = (struct store_view){ 0 };
    return 0;
}

int async_store_cancel(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_cancelled *done,
                       void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_CANCEL, .cancelled = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    return take_request(async_store, &async_store->writer, &request, err);
}

int async_store_retry(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_retried *done,
                      void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_RETRY, .retried = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    return take_request(async_store, &async_store->writer, &request, err);
}

int async_store_read(struct async_store *async_store, async_store_reader *read, async_store_read_done *done,
                     void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_READ, .read = read, .read_done = done, .context = context };
    return take_request(async_store, &async_store->reader, &request, err);
}
