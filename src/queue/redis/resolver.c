/* redis_resolver: one thread a question; see redis/resolver.h. */
#include "queue/redis/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

struct redis_resolver {
    pthread_mutex_t lock;
    pthread_cond_t answered; /* by CLOCK_MONOTONIC */
    unsigned owners;         /* the opener, and the thread that asks */
    bool is_asking;
    int failed, os; /* getaddrinfo's answer, and errno with EAI_SYSTEM */
    struct redis_addresses found;
    char host[256], port[16];
};

/* With the lock held, which is gone afterwards. */
static void let_go(struct redis_resolver *names)
{
    bool is_last = --names->owners == 0;
    (void)pthread_mutex_unlock(&names->lock);
    if (!is_last)
        return;
    (void)pthread_cond_destroy(&names->answered);
    (void)pthread_mutex_destroy(&names->lock);
    free(names);
}

/* `flags` AI_NUMERICHOST asks nobody. */
static int look_up(const struct redis_resolver *names, int flags, struct redis_addresses *ret)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC, .ai_flags = flags }, *list = NULL;
    int failed = getaddrinfo(names->host, names->port, &hints, &list);
    if (failed != 0)
        return failed;
    *ret = (struct redis_addresses){ 0 };
    for (const struct addrinfo *at = list; at != NULL && ret->len < REDIS_ADDRESSES_MAX; at = at->ai_next) {
        if (at->ai_addrlen > sizeof ret->at[0])
            continue;
        memcpy(&ret->at[ret->len], at->ai_addr, at->ai_addrlen);
        ret->lens[ret->len++] = at->ai_addrlen;
    }
    freeaddrinfo(list);
    return ret->len > 0 ? 0 : EAI_NONAME;
}

static void *ask(void *context)
{
    struct redis_resolver *names = context;
    struct redis_addresses found;
    int failed = look_up(names, 0, &found); /* host and port never change */
    int os = errno;
    (void)pthread_mutex_lock(&names->lock);
    names->failed = failed;
    names->os = os;
    if (failed == 0)
        names->found = found;
    names->is_asking = false;
    (void)pthread_cond_broadcast(&names->answered);
    let_go(names);
    return NULL;
}

/* With the lock held. */
static int start_asking(struct redis_resolver *names, struct error *err)
{
    pthread_t thread;
    int os = pthread_create(&thread, NULL, ask, names);
    if (os != 0)
        return error_set(err, ERROR_STORE, os, "Redis: look up %s: start a thread", names->host);
    (void)pthread_detach(thread);
    names->is_asking = true;
    names->owners++;
    return 0;
}

/* With the lock held.  False: the deadline has passed. */
static bool wait_for_answer(struct redis_resolver *names, uint64_t deadline_ms)
{
    struct timespec until = { (time_t)(deadline_ms / 1000), (long)(deadline_ms % 1000) * 1000000 };
    while (names->is_asking)
        if (pthread_cond_timedwait(&names->answered, &names->lock, &until) == ETIMEDOUT)
            break;
    return !names->is_asking;
}

int redis_resolver_open(const char *host, const char *port, struct redis_resolver **ret, struct error *err)
{
    pthread_condattr_t monotonic;
    struct redis_resolver *names = calloc(1, sizeof *names);
    if (names == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "open store");
    (void)snprintf(names->host, sizeof names->host, "%s", host);
    (void)snprintf(names->port, sizeof names->port, "%s", port);
    names->owners = 1;
    (void)pthread_mutex_init(&names->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&names->answered, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    *ret = names;
    return 0;
}

int redis_resolver_find(struct redis_resolver *names, uint64_t deadline_ms, struct redis_addresses *ret,
                        struct error *err)
{
    if (look_up(names, AI_NUMERICHOST, ret) == 0)
        return 0;
    int result = 0;
    (void)pthread_mutex_lock(&names->lock);
    if (!names->is_asking && start_asking(names, err) < 0)
        result = -1;
    else if (!wait_for_answer(names, deadline_ms))
        result = error_set(err, ERROR_STORE, 0, "Redis: look up %s: no name server answers", names->host);
    else if (names->failed != 0)
        result = error_set(err, ERROR_STORE, names->failed == EAI_SYSTEM ? names->os : 0, "Redis: look up %s: %s",
                           names->host, gai_strerror(names->failed));
    else
        *ret = names->found;
    (void)pthread_mutex_unlock(&names->lock);
    return result;
}

void redis_resolver_close(struct redis_resolver *names)
{
    if (names == NULL)
        return;
    (void)pthread_mutex_lock(&names->lock);
    let_go(names);
}
