/* queue_depth: how many submissions wait and run, as a store counts them for metrics and the API. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "model/submission.h"

#define QUEUE_DEPTH_QUEUES_MAX 1024

struct queue_depth {
    struct {
        char queue[QUEUE_NAME_BYTES];
        uint64_t waiting, running;
        uint64_t waiting_by[PRIORITY_COUNT_];
    } queues[QUEUE_DEPTH_QUEUES_MAX];
    size_t queues_len;
    uint64_t waiting, running, dead;           /* of all queues */
    uint64_t queue_bytes, queue_bytes_max;     /* payloads of waiting and running submissions */
    uint64_t results_bytes, results_bytes_max; /* stored results */
    uint64_t oldest_wait_ms;                   /* how long the oldest waiting submission has waited; 0 if none waits */
    uint32_t workers, slots;                   /* of the workers whose last heartbeat is younger than a lease */
    uint64_t busy_milli;                       /* busy slots of those workers in thousandths, from their heartbeats */
};
