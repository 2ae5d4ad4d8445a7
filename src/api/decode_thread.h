/*
 * decode_thread: decodes large request bodies, which would block the HTTP thread for about 10 ms a megabyte.
 */
#pragma once
#include "base/error.h"

struct decode_thread;

/* The first member of the caller's struct, which `run` takes over. */
struct decode_task {
    void (*run)(struct decode_task *task); /* on the thread */
    struct decode_task *next;
};

int decode_thread_open(struct decode_thread **ret, struct error *err);
/* Runs the tasks in the order of the calls.  Any thread. */
void decode_thread_add(struct decode_thread *thread, struct decode_task *task);
/* Runs the remaining tasks, then ends.  NULL is fine. */
void decode_thread_close(struct decode_thread *thread);
