/*
 * decode_threads: two threads and their queue, which is sorted by when a task is due.
 *
 * A task is due when it came, plus a microsecond for each 16 bytes: a second for 16 MiB.
 */
#include "api/decode_threads.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sync.h"

#define THREADS_LEN 2
#define BYTES_PER_US 16

struct decode_threads {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct decode_task *first;
    bool is_ending, runs_long;
    size_t len;
    pthread_t threads[THREADS_LEN];
};

/* With the lock held.  NULL: nothing that this thread may run now. */
static struct decode_task *take(struct decode_threads *threads)
{
    struct decode_task **at = &threads->first;

    while (*at != NULL && (*at)->is_long && threads->runs_long)
        at = &(*at)->next;
    struct decode_task *task = *at;
    if (task == NULL)
        return NULL;
    *at = task->next;
    threads->runs_long |= task->is_long;
    return task;
}

static void *run(void *context)
{
    struct decode_threads *threads = context;

    mutex_lock(&threads->lock);
    while (threads->first != NULL || !threads->is_ending) {
        struct decode_task *task = take(threads);
        if (task == NULL) {
            cond_wait(&threads->changed, &threads->lock);
            continue;
        }
        bool is_long = task->is_long;
        mutex_unlock(&threads->lock);
        task->run(task);
        if (is_long) /* returns the many small pieces that the parser has freed to the kernel */
            (void)malloc_trim(0);
        mutex_lock(&threads->lock);
        if (is_long) {
            threads->runs_long = false;
            cond_broadcast(&threads->changed);
        }
    }
    mutex_unlock(&threads->lock);
    return NULL;
}

void decode_threads_add(struct decode_threads *threads, struct decode_task *task, size_t bytes)
{
    struct decode_task **at = &threads->first;

    task->due_us = clock_mono_us() + bytes / BYTES_PER_US;
    task->is_long = bytes > DECODE_LONG_BYTES;
    lock_guard(&threads->lock);
    while (*at != NULL && (*at)->due_us <= task->due_us)
        at = &(*at)->next;
    task->next = *at;
    *at = task;
    cond_broadcast(&threads->changed);
}

int decode_threads_open(struct decode_threads **ret, struct error *err)
{
    struct decode_threads *threads = calloc(1, sizeof *threads);

    if (threads == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the decode threads");
    mutex_init(&threads->lock);
    cond_init(&threads->changed);
    for (; threads->len < THREADS_LEN; threads->len++)
        if (thread_start(&threads->threads[threads->len], "decode", run, threads, err) < 0) {
            decode_threads_close(threads);
            return -1;
        }
    *ret = threads;
    return 0;
}

void decode_threads_close(struct decode_threads *threads)
{
    if (threads == NULL)
        return;
    mutex_lock(&threads->lock);
    threads->is_ending = true;
    cond_broadcast(&threads->changed);
    mutex_unlock(&threads->lock);
    for (size_t i = 0; i < threads->len; i++)
        thread_join(threads->threads[i]);
    (void)pthread_cond_destroy(&threads->changed);
    (void)pthread_mutex_destroy(&threads->lock);
    free(threads);
}
