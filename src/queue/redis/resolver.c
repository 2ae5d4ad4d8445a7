/* redis_resolver: one thread for each look-up; see redis/resolver.h. */
#include "queue/redis/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/sync.h"

struct redis_resolver {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned owners; /* the opener, and the thread that looks up */
    bool is_running;
    int failed, os; /* result of getaddrinfo, and errno if that is EAI_SYSTEM */
    struct redis_addresses found;
    char host[256], port[16];
};

/* Called with the lock held, which it releases. */
static void drop_owner(struct redis_resolver *resolver)
{
    bool is_last = --resolver->owners == 0;
    mutex_unlock(&resolver->lock);
    if (!is_last)
        return;
    (void)pthread_cond_destroy(&resolver->answered);
    (void)pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

/* With AI_NUMERICHOST in `flags` it converts an address and sends no query. */
static int look_up(const struct redis_resolver *resolver, int flags, struct redis_addresses *ret)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC, .ai_flags = flags }, *list = NULL;
    int failed = getaddrinfo(resolver->host, resolver->port, &hints, &list);
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

static void *dns_main(void *context)
{
    struct redis_resolver *resolver = context;
    struct redis_addresses found;
    int failed = look_up(resolver, 0, &found); /* without the lock: host and port never change */
    int os = errno;
    mutex_lock(&resolver->lock);
    resolver->failed = failed;
    resolver->os = os;
    if (failed == 0)
        resolver->found = found;
    resolver->is_running = false;
    cond_broadcast(&resolver->answered);
    drop_owner(resolver);
    return NULL;
}

/* With the lock held. */
static int start_look_up(struct redis_resolver *resolver, struct error *err)
{
    pthread_t thread;
    if (thread_start(&thread, "dns", dns_main, resolver, err) < 0) {
        err->kind = ERROR_STORE;
        return error_within(err, "Redis: look up %s", resolver->host);
    }
    (void)pthread_detach(thread);
    resolver->is_running = true;
    resolver->owners++;
    return 0;
}

int redis_resolver_open(const char *host, const char *port, struct redis_resolver **ret, struct error *err)
{
    struct redis_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "open store");
    (void)snprintf(resolver->host, sizeof resolver->host, "%s", host);
    (void)snprintf(resolver->port, sizeof resolver->port, "%s", port);
    resolver->owners = 1;
    mutex_init(&resolver->lock);
    cond_init(&resolver->answered);
    *ret = resolver;
    return 0;
}

int redis_resolver_find(struct redis_resolver *resolver, uint64_t deadline_ms, struct redis_addresses *ret,
                        struct error *err)
{
    if (look_up(resolver, AI_NUMERICHOST, ret) == 0)
        return 0;
    lock_guard(&resolver->lock);
    if (!resolver->is_running && start_look_up(resolver, err) < 0)
        return -1;
    while (resolver->is_running && cond_wait_until(&resolver->answered, &resolver->lock, deadline_ms * 1000))
        continue;
    if (resolver->is_running)
        return error_set(err, ERROR_STORE, 0, "Redis: look up %s: no name server answers", resolver->host);
    if (resolver->failed != 0)
        return error_set(err, ERROR_STORE, resolver->failed == EAI_SYSTEM ? resolver->os : 0, "Redis: look up %s: %s",
                         resolver->host, gai_strerror(resolver->failed));
    *ret = resolver->found;
    return 0;
}

void redis_resolver_close(struct redis_resolver *resolver)
{
    if (resolver == NULL)
        return;
    mutex_lock(&resolver->lock);
    drop_owner(resolver);
}
