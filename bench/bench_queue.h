/* bench_queue: shared by bench_queue.c, bench_queue_floor.c and bench_queue_idle.c. */
#pragma once
#include <stdint.h>

#include "config/config.h"
#include "queue/queue.h"

#define PAYLOAD_BYTES 1024
#define RESULT_BYTES 600
#define BATCH_MAX 100

extern const char *const bench_queues[];
extern char bench_payload[PAYLOAD_BYTES], bench_result[RESULT_BYTES];
_Noreturn void die(const char *what, const char *why);

void bench_add(struct store *store, size_t len);

/* The floor of each step.  claim and finish work on what the last floor_add added. */
struct bench_floor;
struct bench_floor *floor_open(const char *url);
void floor_add(struct bench_floor *base, size_t len);
void floor_claim(struct bench_floor *base, size_t len);
void floor_finish(struct bench_floor *base, size_t len); /* one after the other, as workers do */
uint64_t floor_scripts(struct bench_floor *base);        /* number sent to Redis so far; SQLite: 0 */
/* Waits until so many connections to Redis are blocked in BLPOP; SQLite: does nothing. */
void floor_wait_blocked(struct bench_floor *base, size_t len);
uint64_t floor_bytes(struct bench_floor *base); /* memory of Redis, or size of the SQLite file */
void floor_close(struct bench_floor *base);

/* Prints how soon one of `claimers` gets a new submission, how many were woken, and how many scripts ran. */
void bench_idle(struct store *store, struct bench_floor *base, size_t claimers, size_t rounds);
