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
#include "store/desk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_LEN_MAX 256
#define GROUP_BYTES_MAX (64u << 20) /* of payload in one group */
#define GET_LEN_MAX 64              /* results of so many are in memory at one time */

enum order_kind { ORDER_ADD, ORDER_GET, ORDER_HAND, ORDER_CANCEL, ORDER_RETRY, ORDER_READ };

struct order {
    enum order_kind kind;
    char token[TOKEN_BYTES];
    struct store_new entry; /* ORDER_ADD; its payload is `payload` */
    struct buf payload;
    struct store_view view; /* ORDER_HAND */
    desk_added *added;
    desk_got *got;
    desk_cancelled *cancelled;
    desk_retried *retried;
    desk_reading *read;
    desk_read_done *read_done;
    void *context;
    struct order *next;
};

struct clerk {
    struct desk *desk;
    pthread_t thread;
    pthread_cond_t bell; /* with desk->lock */
    struct order *first, *last;
};

struct desk {
    struct store *store;
    size_t orders_max;
    pthread_mutex_t lock; /* the two lists, orders_len, is_closing */
    size_t orders_len;    /* taken and not answered */
    bool is_closing;
    struct clerk writer, reader;
};

static void order_free(struct order *order)
{
    buf_done(&order->payload);
    free(order);
}

/* ---- serving ---- */

/* Frees the answered orders and makes room for others. */
static void put_away(struct desk *desk, struct order *orders[], size_t len)
{
    for (size_t i = 0; i < len; i++)
        order_free(orders[i]);
    (void)pthread_mutex_lock(&desk->lock);
    assert(desk->orders_len >= len);
    desk->orders_len -= len;
    (void)pthread_mutex_unlock(&desk->lock);
}

/* Takes those of the first one's place out of *orders, in their order; the others stay, in theirs. */
static size_t take_place(struct store *store, struct order *orders[], size_t *len, struct order *ret_part[])
{
    unsigned place = store_place(store, orders[0]->token);
    size_t part_len = 0, left = 0;
    for (size_t i = 0; i < *len; i++) {
        if (store_place(store, orders[i]->token) == place)
            ret_part[part_len++] = orders[i];
        else
            orders[left++] = orders[i];
    }
    *len = left;
    return part_len;
}

static void serve_adds(struct desk *desk, struct order *orders[], size_t len)
{
    struct store_new news[GROUP_LEN_MAX];
    struct store_added added[GROUP_LEN_MAX];
    struct error err = { 0 };
    assert(len > 0 && len <= GROUP_LEN_MAX);
    for (size_t i = 0; i < len; i++)
        news[i] = orders[i]->entry;

    bool together = store_add_each(desk->store, news, len, added, &err) == 0;
    /* A store that is away is away for each of them; asking for each would only take its time-out many times. */
    bool one_by_one = !together && len > 1 && err.kind != ERROR_STORE;
    for (size_t i = 0; i < len; i++) {
        struct error own = err;
        bool served = together || (one_by_one && store_add_each(desk->store, &news[i], 1, &added[i], &own) == 0);
        orders[i]->added(orders[i]->context, served ? &added[i] : NULL, served ? NULL : &own);
    }
}

static void serve_gets(struct desk *desk, struct order *orders[], size_t len)
{
    const char *tokens[GET_LEN_MAX];
    struct store_view views[GET_LEN_MAX] = { 0 };
    struct error err = { 0 };
    assert(len > 0 && len <= GET_LEN_MAX);
    for (size_t i = 0; i < len; i++)
        tokens[i] = orders[i]->token;
    bool got = store_get(desk->store, tokens, len, views, &err) == 0;
    for (size_t i = 0; i < len; i++) {
        if (!got)
            views[i] = (struct store_view){ 0 };
        orders[i]->got(orders[i]->context, &views[i], got ? NULL : &err);
    }
}

/* A place of its own for each call, so that one that is away fails only those that live there. */
static void serve_by_place(struct desk *desk, struct order *const group[], size_t len,
                           void serve_part(struct desk *, struct order *[], size_t))
{
    struct order *left[GROUP_LEN_MAX], *part[GROUP_LEN_MAX];
    assert(len <= GROUP_LEN_MAX);
    memcpy(left, group, len * sizeof *left);
    while (len > 0) {
        size_t part_len = take_place(desk->store, left, &len, part);
        serve_part(desk, part, part_len);
    }
}

static void serve_cancel(struct desk *desk, struct order *order)
{
    struct error err = { 0 };
    bool cancelled = false;
    bool done = store_cancel(desk->store, order->token, &cancelled, &err) == 0;
    order->cancelled(order->context, done && cancelled, done ? NULL : &err);
}

static void serve_retry(struct desk *desk, struct order *order)
{
    struct error err = { 0 };
    bool retried = false;
    bool done = store_dead_retry(desk->store, order->token, &retried, &err) == 0;
    order->retried(order->context, done && retried, done ? NULL : &err);
}

static void serve_read(struct desk *desk, struct order *order)
{
    struct error err = { 0 };
    bool done = order->read(desk->store, order->context, &err) == 0;
    order->read_done(order->context, done ? NULL : &err);
}

/* Takes orders of one kind off the front of the list, as many as go in one group. */
static size_t next_group(struct order **list, struct order *group[GROUP_LEN_MAX])
{
    enum order_kind kind = (*list)->kind;
    size_t len_max = kind == ORDER_ADD ? GROUP_LEN_MAX : kind == ORDER_GET ? GET_LEN_MAX : 1;
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

static void serve(struct desk *desk, struct order *list)
{
    while (list != NULL) {
        struct order *group[GROUP_LEN_MAX];
        size_t len = next_group(&list, group);
        switch (group[0]->kind) {
        case ORDER_ADD:
            serve_by_place(desk, group, len, serve_adds);
            break;
        case ORDER_GET:
            serve_by_place(desk, group, len, serve_gets);
            break;
        case ORDER_HAND:
            group[0]->got(group[0]->context, &group[0]->view, NULL);
            break;
        case ORDER_CANCEL:
            serve_cancel(desk, group[0]);
            break;
        case ORDER_RETRY:
            serve_retry(desk, group[0]);
            break;
        case ORDER_READ:
            serve_read(desk, group[0]);
            break;
        }
        put_away(desk, group, len);
    }
}

static void *clerk_loop(void *context)
{
    struct clerk *clerk = context;
    struct desk *desk = clerk->desk;
    (void)pthread_mutex_lock(&desk->lock);
    while (true) {
        while (clerk->first == NULL && !desk->is_closing)
            (void)pthread_cond_wait(&clerk->bell, &desk->lock);
        struct order *list = clerk->first;
        if (list == NULL)
            break;
        clerk->first = clerk->last = NULL;
        (void)pthread_mutex_unlock(&desk->lock);
        serve(desk, list);
        (void)pthread_mutex_lock(&desk->lock);
    }
    (void)pthread_mutex_unlock(&desk->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static int clerk_start(struct clerk *clerk, struct desk *desk, struct error *err)
{
    clerk->desk = desk;
    (void)pthread_cond_init(&clerk->bell, NULL);
    int os = pthread_create(&clerk->thread, NULL, clerk_loop, clerk);
    return os == 0 ? 0 : error_set(err, ERROR_SETUP, os, "start the store's desk");
}

static void clerk_end(struct clerk *clerk)
{
    (void)pthread_mutex_lock(&clerk->desk->lock);
    clerk->desk->is_closing = true;
    (void)pthread_cond_signal(&clerk->bell);
    (void)pthread_mutex_unlock(&clerk->desk->lock);
    (void)pthread_join(clerk->thread, NULL);
    (void)pthread_cond_destroy(&clerk->bell);
}

int desk_open(struct store *store, size_t orders_max, struct desk **ret, struct error *err)
{
    struct desk *desk = calloc(1, sizeof *desk);
    if (desk == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "start the store's desk");
    desk->store = store;
    desk->orders_max = orders_max;
    (void)pthread_mutex_init(&desk->lock, NULL);
    if (clerk_start(&desk->writer, desk, err) < 0)
        goto undo;
    if (clerk_start(&desk->reader, desk, err) < 0) {
        clerk_end(&desk->writer);
        goto undo;
    }
    *ret = desk;
    return 0;

undo:
    (void)pthread_mutex_destroy(&desk->lock);
    free(desk);
    return -1;
}

void desk_close(struct desk *desk)
{
    if (desk == NULL)
        return;
    clerk_end(&desk->writer);
    clerk_end(&desk->reader);
    assert(desk->orders_len == 0);
    (void)pthread_mutex_destroy(&desk->lock);
    free(desk);
}

/* ---- taking orders ---- */

/* Takes over *order's content where it returns 0. */
static int take_order(struct desk *desk, struct clerk *clerk, const struct order *order, struct error *err)
{
    struct order *kept = malloc(sizeof *kept);
    if (kept == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "no memory for a request");
    *kept = *order;
    if (kept->kind == ORDER_ADD)
        kept->entry.payload = buf_text(&kept->payload);

    (void)pthread_mutex_lock(&desk->lock);
    int result = 0;
    if (desk->is_closing) {
        result = error_set(err, ERROR_BUSY, 0, "the server is stopping");
    } else if (desk->orders_len >= desk->orders_max) {
        result = error_set(err, ERROR_BUSY, 0, "too many requests wait for the store (%zu)", desk->orders_len);
    } else {
        if (clerk->last != NULL)
            clerk->last->next = kept;
        else
            clerk->first = kept;
        clerk->last = kept;
        desk->orders_len++;
        (void)pthread_cond_signal(&clerk->bell);
    }
    (void)pthread_mutex_unlock(&desk->lock);
    if (result < 0)
        free(kept);
    return result;
}

int desk_add(struct desk *desk, const struct store_new *entry, struct buf *payload, desk_added *done, void *context,
             struct error *err)
{
    struct order order = { .kind = ORDER_ADD, .entry = *entry, .payload = *payload, .added = done, .context = context };
    memcpy(order.token, entry->token, sizeof order.token);
    if (take_order(desk, &desk->writer, &order, err) < 0)
        return -1;
    *payload = (struct buf){ .max = payload->max };
    return 0;
}

int desk_get(struct desk *desk, const char token[TOKEN_BYTES], desk_got *done, void *context, struct error *err)
{
    struct order order = { .kind = ORDER_GET, .got = done, .context = context };
    (void)snprintf(order.token, sizeof order.token, "%s", token);
    return take_order(desk, &desk->reader, &order, err);
}

int desk_hand(struct desk *desk, const char token[TOKEN_BYTES], struct store_view *view, desk_got *done, void *context,
              struct error *err)
{
    struct order order = { .kind = ORDER_HAND, .view = *view, .got = done, .context = context };
    (void)snprintf(order.token, sizeof order.token, "%s", token);
    if (take_order(desk, &desk->reader, &order, err) < 0)
        return -1;
    *view = (struct store_view){ 0 };
    return 0;
}

int desk_cancel(struct desk *desk, const char token[TOKEN_BYTES], desk_cancelled *done, void *context,
                struct error *err)
{
    struct order order = { .kind = ORDER_CANCEL, .cancelled = done, .context = context };
    (void)snprintf(order.token, sizeof order.token, "%s", token);
    return take_order(desk, &desk->writer, &order, err);
}

int desk_retry(struct desk *desk, const char token[TOKEN_BYTES], desk_retried *done, void *context, struct error *err)
{
    struct order order = { .kind = ORDER_RETRY, .retried = done, .context = context };
    (void)snprintf(order.token, sizeof order.token, "%s", token);
    return take_order(desk, &desk->writer, &order, err);
}

int desk_read(struct desk *desk, desk_reading *read, desk_read_done *done, void *context, struct error *err)
{
    struct order order = { .kind = ORDER_READ, .read = read, .read_done = done, .context = context };
    return take_order(desk, &desk->reader, &order, err);
}
