/*
 * decode_thread: one thread and its queue.  One is enough: large bodies then delay only each other.
 */
#include "api/decode_thread.h"

#include <errno.h>
#include <stdlib.h>

#include "base/sync.h"

struct decode_thread {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct decode_task *first, **last;
    bool is_ending;
    pthread_t thread;
};

static void *run(void *context)
{
    struct decode_thread *thread = context;

    mutex_lock(&thread->lock);
    while (thread->first != NULL || !thread->is_ending) {
        struct decode_task *task = thread->first;
        if (task == NULL) {
            cond_wait(&thread->changed, &thread->lock);
            continue;
        }
        thread->first = task->next;
        if (thread->first == NULL)
            thread->last = &thread->first;
        mutex_unlock(&thread->lock);
        task->run(task);
        mutex_lock(&thread->lock);
    }
    mutex_unlock(&thread->lock);
    return NULL;
}

void decode_thread_add(struct decode_thread *thread, struct decode_task *task)
{
    lock_guard(&thread->lock);
    task->next = NULL;
    *thread->last = task;
    thread->last = &task->next;
    cond_signal(&thread->changed);
}

int decode_thread_open(struct decode_thread **ret, struct error *err)
{
    struct decode_thread *thread = calloc(1, sizeof *thread);

    if (thread == NULL)
        return error_set(err, ERROR_BUSY, ENOMEM, "start the decode thread");
    thread->last = &thread->first;
    mutex_init(&thread->lock);
    cond_init(&thread->changed);
    if (thread_start(&thread->thread, "decode", run, thread, err) < 0) {
        free(thread);
        return -1;
    }
    *ret = thread;
    return 0;
}

void decode_thread_close(struct decode_thread *thread)
{
    if (thread == NULL)
        return;
    mutex_lock(&thread->lock);
    thread->is_ending = true;
    cond_signal(&thread->changed);
    mutex_unlock(&thread->lock);
    thread_join(thread->thread);
    (void)pthread_cond_destroy(&thread->changed);
    (void)pthread_mutex_destroy(&thread->lock);
    free(thread);
}
