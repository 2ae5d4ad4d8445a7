/* sync: pthread calls, checked. */
#include "base/sync.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"

#define THREAD_NAME_BYTES 16

void mutex_init(pthread_mutex_t *mutex)
{
    int os = pthread_mutex_init(mutex, NULL);
    assert(os == 0);
}

void mutex_lock(pthread_mutex_t *mutex)
{
    int os = pthread_mutex_lock(mutex);
    assert(os == 0);
}

void mutex_unlock(pthread_mutex_t *mutex)
{
    int os = pthread_mutex_unlock(mutex);
    assert(os == 0);
}

void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int os = pthread_cond_init(cond, &monotonic);
    assert(os == 0);
    (void)pthread_condattr_destroy(&monotonic);
}

void cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    int os = pthread_cond_wait(cond, mutex);
    assert(os == 0);
}

bool cond_wait_for(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t wait_us)
{
    uint64_t now_us = sync_now_us();
    return cond_wait_until(cond, mutex, wait_us < UINT64_MAX - now_us ? now_us + wait_us : UINT64_MAX);
}

bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_us)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_us / 1000000),
        .tv_nsec = (long)(deadline_us % 1000000) * 1000,
    };
    int os = pthread_cond_timedwait(cond, mutex, &until);

    assert(os == 0 || os == ETIMEDOUT);
    return os == 0;
}

void cond_signal(pthread_cond_t *cond)
{
    (void)pthread_cond_signal(cond);
}

void cond_broadcast(pthread_cond_t *cond)
{
    (void)pthread_cond_broadcast(cond);
}

uint64_t sync_now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t jitter_ms(uint64_t ms)
{
    uint16_t chance = 0;

    /* Early at boot the pool may not be ready: no jitter is better than a thread that blocks. */
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance)
        chance = UINT16_MAX;
    return ms - ms / 2 + ms / 2 * chance / UINT16_MAX;
}

uint64_t backoff_ms(uint32_t failures, uint64_t min_ms, uint64_t max_ms)
{
    uint64_t ceiling = min_ms;

    for (uint32_t i = 1; i < failures && ceiling < max_ms; i++)
        ceiling *= 2;
    return jitter_ms(ceiling < max_ms ? ceiling : max_ms);
}

int thread_start(pthread_t *thread, const char *name, void *(*main)(void *context), void *context, struct error *err)
{
    assert(strlen(name) < THREAD_NAME_BYTES);
    int os = pthread_create(thread, NULL, main, context);

    if (os != 0)
        return error_set(err, ERROR_SETUP, os, "cannot start thread %s", name);
    (void)pthread_setname_np(*thread, name);
    return 0;
}

void thread_start_or_abort(pthread_t *thread, const char *name, void *(*main)(void *context), void *context)
{
    struct error err;

    if (thread_start(thread, name, main, context, &err) < 0) {
        log_error("%s", err.text);
        abort();
    }
}

void thread_join(pthread_t thread)
{
    int os = pthread_join(thread, NULL);
    assert(os == 0);
}
