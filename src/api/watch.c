/*
 * watch: a hash table from tokens to those who wait for them, of a fixed number of chains: 16,384 of them keep a chain
 * at one or two for the connections one process may have.
 */
#include "api/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHAINS 16384u /* a power of two */

struct watch {
    pthread_mutex_t lock;
    struct watcher *chains[CHAINS];
};

/* FNV-1a.  Tokens are random numbers that we chose, so nobody can aim at one chain. */
static struct watcher **chain_of(struct watch *watch, const char *token)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < TOKEN_LEN; i++)
        hash = (hash ^ (unsigned char)token[i]) * 16777619u;
    return &watch->chains[(hash ^ (hash >> 16)) & (CHAINS - 1)];
}

int watch_open(struct watch **ret, struct error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "open the table of watchers");
    (void)pthread_mutex_init(&watch->lock, NULL);
    *ret = watch;
    return 0;
}

void watch_close(struct watch *watch)
{
    if (watch == NULL)
        return;
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch);
}

void watch_add(struct watch *watch, struct watcher *watcher)
{
    (void)pthread_mutex_lock(&watch->lock);
    struct watcher **first = chain_of(watch, watcher->token);
    watcher->previous = NULL;
    watcher->next = *first;
    if (*first != NULL)
        (*first)->previous = watcher;
    *first = watcher;
    (void)pthread_mutex_unlock(&watch->lock);
}

void watch_remove(struct watch *watch, struct watcher *watcher)
{
    (void)pthread_mutex_lock(&watch->lock);
    if (watcher->previous != NULL)
        watcher->previous->next = watcher->next;
    else
        *chain_of(watch, watcher->token) = watcher->next;
    if (watcher->next != NULL)
        watcher->next->previous = watcher->previous;
    (void)pthread_mutex_unlock(&watch->lock);
}

void watch_tell(struct watch *watch, const char token[TOKEN_BYTES], enum submission_state state)
{
    (void)pthread_mutex_lock(&watch->lock);
    for (struct watcher *at = *chain_of(watch, token); at != NULL; at = at->next)
        if (memcmp(at->token, token, TOKEN_LEN) == 0)
            at->changed(at, state);
    (void)pthread_mutex_unlock(&watch->lock);
}

void watch_tell_end(struct watch *watch, const char token[TOKEN_BYTES], const struct store_view *end)
{
    (void)pthread_mutex_lock(&watch->lock);
    for (struct watcher *at = *chain_of(watch, token); at != NULL; at = at->next)
        if (at->ended != NULL && memcmp(at->token, token, TOKEN_LEN) == 0)
            at->ended(at, end);
    (void)pthread_mutex_unlock(&watch->lock);
}
