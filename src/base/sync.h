/*
 * sync: mutexes, condition variables and threads, with the choices this program makes everywhere.
 *
 *   - A lock is released at the end of its scope (lock_guard), so no return path can leave it held.
 *   - Condition variables count on CLOCK_MONOTONIC, so a change of the wall clock neither shortens nor prolongs a wait.
 *   - Every thread has a name (thread_start), which `top -H`, gdb and /proc/PID/task/TID/comm show.
 *   - Retries back off exponentially with jitter, so that a fleet does not act in step (backoff_ms).
 *
 * An error of these calls, such as a lock taken twice, is a programming error: the process aborts.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

void mutex_init(pthread_mutex_t *mutex);
void mutex_lock(pthread_mutex_t *mutex);
void mutex_unlock(pthread_mutex_t *mutex);

static inline pthread_mutex_t *sync_lock(pthread_mutex_t *mutex)
{
    mutex_lock(mutex);
    return mutex;
}
static inline void sync_unlock(pthread_mutex_t **mutex)
{
    mutex_unlock(*mutex);
}
#define SYNC_JOIN_(a, b) a##b
#define SYNC_JOIN(a, b) SYNC_JOIN_(a, b)
/* Holds the mutex until the end of the enclosing block. */
#define lock_guard(mutex)                                                                                              \
    __attribute__((cleanup(sync_unlock), unused)) pthread_mutex_t *SYNC_JOIN(lock_guard_, __LINE__) = sync_lock(mutex)

void cond_init(pthread_cond_t *cond);
/* The next three are called with the mutex held, as pthread_cond_wait(3); a wake-up may be spurious. */
void cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
/* Returns false if `wait_us` passed without a wake-up. */
bool cond_wait_for(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t wait_us);
/* Returns false if the deadline (of sync_now_us) passed without a wake-up. */
bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_us);
void cond_signal(pthread_cond_t *cond);
void cond_broadcast(pthread_cond_t *cond);

/* Microseconds of CLOCK_MONOTONIC.  Unlike the clock of clock.h, it cannot be faked: threads sleep real time. */
uint64_t sync_now_us(void);

/*
 * How long to wait after the `failures`-th failure in a row (1, 2, ...): min_ms doubled each time, at most max_ms,
 * of which the upper half is random ("equal jitter", aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
 */
uint64_t backoff_ms(uint32_t failures, uint64_t min_ms, uint64_t max_ms);
/* Between half of `ms` and all of it, at random. */
uint64_t jitter_ms(uint64_t ms);

/* `name` has at most 15 characters, the kernel's limit.  Returns -1 with ERROR_SETUP if no thread can be started. */
int thread_start(pthread_t *thread, const char *name, void *(*main)(void *context), void *context, struct error *err);
/* For threads that the process needs: logs and aborts where thread_start would fail. */
void thread_start_or_abort(pthread_t *thread, const char *name, void *(*main)(void *context), void *context);
void thread_join(pthread_t thread);
