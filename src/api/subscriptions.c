/*
 * subscriptions: a hash table from tokens to subscribers.  With 16,384 chains, the connections that one process can
 * have give chains of one or two entries.
 */
#include "api/subscriptions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sync.h"

#define CHAINS 16384u /* a power of two */

struct subscriptions {
    pthread_mutex_t lock;
    struct subscriber *chains[CHAINS];
};

/* FNV-1a.  The server chooses tokens at random, so no client can fill one chain on purpose. */
static struct subscriber **chain_of(struct subscriptions *subscriptions, const char *token)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < TOKEN_LEN; i++)
        hash = (hash ^ (unsigned char)token[i]) * 16777619u;
    return &subscriptions->chains[(hash ^ (hash >> 16)) & (CHAINS - 1)];
}

int subscriptions_open(struct subscriptions **ret, struct error *err)
{
    struct subscriptions *subscriptions = calloc(1, sizeof *subscriptions);

    if (subscriptions == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "create the table of subscriptions");
    mutex_init(&subscriptions->lock);
    *ret = subscriptions;
    return 0;
}

void subscriptions_close(struct subscriptions *subscriptions)
{
    if (subscriptions == NULL)
        return;
    (void)pthread_mutex_destroy(&subscriptions->lock);
    free(subscriptions);
}

void subscriptions_add(struct subscriptions *subscriptions, struct subscriber *subscriber)
{
    lock_guard(&subscriptions->lock);
    struct subscriber **first = chain_of(subscriptions, subscriber->token);
    subscriber->previous = NULL;
    subscriber->next = *first;
    if (*first != NULL)
        (*first)->previous = subscriber;
    *first = subscriber;
}

void subscriptions_remove(struct subscriptions *subscriptions, struct subscriber *subscriber)
{
    lock_guard(&subscriptions->lock);
    if (subscriber->previous != NULL)
        subscriber->previous->next = subscriber->next;
    else
        *chain_of(subscriptions, subscriber->token) = subscriber->next;
    if (subscriber->next != NULL)
        subscriber->next->previous = subscriber->previous;
}

void subscriptions_notify(struct subscriptions *subscriptions, const char token[TOKEN_BYTES],
                          enum submission_state state)
{
    lock_guard(&subscriptions->lock);
    for (struct subscriber *at = *chain_of(subscriptions, token); at != NULL; at = at->next)
        if (memcmp(at->token, token, TOKEN_LEN) == 0)
            at->changed(at, state);
}

void subscriptions_notify_end(struct subscriptions *subscriptions, const char token[TOKEN_BYTES],
                              const struct store_view *end)
{
    lock_guard(&subscriptions->lock);
    for (struct subscriber *at = *chain_of(subscriptions, token); at != NULL; at = at->next)
        if (at->ended != NULL && memcmp(at->token, token, TOKEN_LEN) == 0)
            at->ended(at, end);
}
