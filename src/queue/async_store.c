/*
 * async_store: two I/O threads, each with a list of requests.
 *
 * A thread takes its whole list at once, so the busier the API is, the larger the groups become, and a single request
 * waits for no other.  Requests are served in the order they came, so a cancel after the add of a submission finds it.
 *
 * Adds of different clients share one store_add_each.  If the store refuses the group, for example because it is full,
 * each entry is added alone, so that one client's failure is not another's.
 */
#include "queue/async_store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sync.h"

#define GROUP_LEN_MAX 256
#define GROUP_BYTES_MAX (64u << 20) /* of payload in one group */
#define GET_LEN_MAX 64              /* so many results of up to ASYNC_STORE_RESULT_MAX are in memory at one time */

enum request_kind { REQUEST_ADD, REQUEST_GET, REQUEST_DELIVER, REQUEST_CANCEL, REQUEST_RETRY, REQUEST_READ };

struct request {
    enum request_kind kind;
    char token[TOKEN_BYTES];
    struct store_new entry; /* REQUEST_ADD; its payload is `payload` */
    struct buf payload;
    struct store_view view; /* REQUEST_DELIVER */
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
    pthread_cond_t wakeup; /* with async_store->lock */
    struct request *first, *last;
};

struct async_store {
    struct store *store;
    size_t requests_max;
    pthread_mutex_t lock; /* the two lists, requests_len, is_closing */
    size_t requests_len;  /* queued and not yet answered */
    bool is_closing;
    struct io_thread writer, reader;
};

/* ---- serving ---- */

static void serve_adds(struct store *store, struct request *const group[], size_t len)
{
    struct store_new news[GROUP_LEN_MAX];
    struct store_added added[GROUP_LEN_MAX];
    struct error err;
    assert(len > 0 && len <= GROUP_LEN_MAX);
    for (size_t i = 0; i < len; i++)
        news[i] = group[i]->entry;
    if (store_add_each(store, news, len, added, &err) < 0)
        for (size_t i = 0; i < len; i++)
            added[i] = (struct store_added){ .outcome = STORE_FAILED, .err = err };
    for (size_t i = 0; i < len; i++) {
        /* A store that cannot be reached fails for every entry; asking again for each would repeat its time-out. */
        bool retry_alone = len > 1 && added[i].outcome == STORE_FAILED && added[i].err.kind != ERROR_STORE;
        if (retry_alone && store_add_each(store, &news[i], 1, &added[i], &err) < 0)
            added[i] = (struct store_added){ .outcome = STORE_FAILED, .err = err };
        bool failed = added[i].outcome == STORE_FAILED;
        group[i]->added(group[i]->context, failed ? NULL : &added[i], failed ? &added[i].err : NULL);
    }
}

static void serve_gets(struct store *store, struct request *const group[], size_t len)
{
    const char *tokens[GET_LEN_MAX];
    struct store_view views[GET_LEN_MAX];
    struct error err;
    assert(len > 0 && len <= GET_LEN_MAX);
    for (size_t i = 0; i < len; i++)
        tokens[i] = group[i]->token;
    bool served = store_get_below(store, tokens, len, ASYNC_STORE_RESULT_MAX, views, &err) == 0;
    for (size_t i = 0; i < len; i++) {
        struct error own = served ? views[i].err : err;
        if (own.kind != ERROR_NONE)
            views[i] = (struct store_view){ 0 };
        group[i]->got(group[i]->context, &views[i], own.kind != ERROR_NONE ? &own : NULL);
    }
}

static void serve_one(struct store *store, struct request *request)
{
    struct error err = { 0 };
    bool changed = false, done;
    switch (request->kind) {
    case REQUEST_DELIVER:
        request->got(request->context, &request->view, NULL);
        break;
    case REQUEST_CANCEL:
        done = store_cancel(store, request->token, &changed, &err) == 0;
        request->cancelled(request->context, done && changed, done ? NULL : &err);
        break;
    case REQUEST_RETRY:
        done = store_dead_retry(store, request->token, &changed, &err) == 0;
        request->retried(request->context, done && changed, done ? NULL : &err);
        break;
    case REQUEST_READ:
        done = request->read(store, request->context, &err) == 0;
        request->read_done(request->context, done ? NULL : &err);
        break;
    case REQUEST_ADD:
    case REQUEST_GET:
        abort(); /* served in groups */
    }
}

/* Takes requests of one kind off the front of *list, as many as fit into one group. */
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
        if (group[0]->kind == REQUEST_ADD)
            serve_adds(async_store->store, group, len);
        else if (group[0]->kind == REQUEST_GET)
            serve_gets(async_store->store, group, len);
        else
            serve_one(async_store->store, group[0]);
        for (size_t i = 0; i < len; i++) {
            buf_done(&group[i]->payload);
            free(group[i]);
        }
        lock_guard(&async_store->lock);
        assert(async_store->requests_len >= len);
        async_store->requests_len -= len;
    }
}

static void *io_thread_main(void *context)
{
    struct io_thread *io_thread = context;
    struct async_store *async_store = io_thread->async_store;
    while (true) {
        mutex_lock(&async_store->lock);
        while (io_thread->first == NULL && !async_store->is_closing)
            cond_wait(&io_thread->wakeup, &async_store->lock);
        struct request *list = io_thread->first;
        io_thread->first = io_thread->last = NULL;
        mutex_unlock(&async_store->lock);
        if (list == NULL)
            return NULL;
        serve(async_store, list);
    }
}

/* ---- opening and closing ---- */

static int io_thread_start(struct io_thread *io_thread, const char *name, struct async_store *async_store,
                           struct error *err)
{
    io_thread->async_store = async_store;
    cond_init(&io_thread->wakeup);
    return thread_start(&io_thread->thread, name, io_thread_main, io_thread, err);
}

static void io_thread_stop(struct io_thread *io_thread)
{
    mutex_lock(&io_thread->async_store->lock);
    io_thread->async_store->is_closing = true;
    cond_signal(&io_thread->wakeup);
    mutex_unlock(&io_thread->async_store->lock);
    thread_join(io_thread->thread);
    (void)pthread_cond_destroy(&io_thread->wakeup);
}

int async_store_open(struct store *store, size_t requests_max, struct async_store **ret, struct error *err)
{
    struct async_store *async_store = calloc(1, sizeof *async_store);
    if (async_store == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "start the I/O threads of the store");
    async_store->store = store;
    async_store->requests_max = requests_max;
    mutex_init(&async_store->lock);
    if (io_thread_start(&async_store->writer, "store-write", async_store, err) < 0)
        goto undo;
    if (io_thread_start(&async_store->reader, "store-read", async_store, err) < 0) {
        io_thread_stop(&async_store->writer);
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
    io_thread_stop(&async_store->writer);
    io_thread_stop(&async_store->reader);
    assert(async_store->requests_len == 0);
    (void)pthread_mutex_destroy(&async_store->lock);
    free(async_store);
}

/* ---- queueing ---- */

/* Takes over what *request owns on success. */
static int enqueue(struct async_store *async_store, struct io_thread *io_thread, const struct request *request,
                   struct error *err)
{
    struct request *kept = malloc(sizeof *kept);
    if (kept == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "no memory for a request");
    *kept = *request;
    if (kept->kind == REQUEST_ADD)
        kept->entry.payload = buf_text(&kept->payload);

    lock_guard(&async_store->lock);
    if (async_store->is_closing || async_store->requests_len >= async_store->requests_max) {
        free(kept);
        return async_store->is_closing ? error_set(err, ERROR_BUSY, 0, "the server is stopping")
                                       : error_set(err, ERROR_BUSY, 0, "too many requests wait for the store (%zu)",
                                                   async_store->requests_len);
    }
    if (io_thread->last != NULL)
        io_thread->last->next = kept;
    else
        io_thread->first = kept;
    io_thread->last = kept;
    async_store->requests_len++;
    cond_signal(&io_thread->wakeup);
    return 0;
}

int async_store_add(struct async_store *async_store, const struct store_new *entry, struct buf *payload,
                    async_store_added *done, void *context, struct error *err)
{
    struct request request = {
        .kind = REQUEST_ADD, .entry = *entry, .payload = *payload, .added = done, .context = context
    };
    if (enqueue(async_store, &async_store->writer, &request, err) < 0)
        return -1;
    *payload = (struct buf){ .max = payload->max };
    return 0;
}

int async_store_get(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_got *done,
                    void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_GET, .got = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    return enqueue(async_store, &async_store->reader, &request, err);
}

int async_store_deliver(struct async_store *async_store, const char token[TOKEN_BYTES], struct store_view *view,
                        async_store_got *done, void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_DELIVER, .view = *view, .got = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    if (enqueue(async_store, &async_store->reader, &request, err) < 0)
        return -1;
    *view = (struct store_view){ 0 };
    return 0;
}

int async_store_cancel(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_cancelled *done,
                       void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_CANCEL, .cancelled = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    return enqueue(async_store, &async_store->writer, &request, err);
}

int async_store_retry(struct async_store *async_store, const char token[TOKEN_BYTES], async_store_retried *done,
                      void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_RETRY, .retried = done, .context = context };
    (void)snprintf(request.token, sizeof request.token, "%s", token);
    return enqueue(async_store, &async_store->writer, &request, err);
}

int async_store_read(struct async_store *async_store, async_store_reader *read, async_store_read_done *done,
                     void *context, struct error *err)
{
    struct request request = { .kind = REQUEST_READ, .read = read, .read_done = done, .context = context };
    return enqueue(async_store, &async_store->reader, &request, err);
}
