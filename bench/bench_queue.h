/* bench_queue: what bench_queue.c and its floor share. */
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

/* The same steps with nothing around them.  claim and finish are of what the last floor_add added. */
struct bench_floor;
struct bench_floor *floor_open(const char *url);
void floor_add(struct bench_floor *base, size_t len);
void floor_claim(struct bench_floor *base, size_t len);
void floor_finish(struct bench_floor *base, size_t len); /* one after the other, as workers do */
uint64_t floor_scripts(struct bench_floor *base);        /* that Redis was sent so far; SQLite: 0 */
uint64_t floor_bytes(struct bench_floor *base);          /* what the store holds: Redis' memory, SQLite's file */
void floor_close(struct bench_floor *base);

/* Prints how soon one of so many idle claimers has a new submission, how many woke, and what that cost Redis. */
void bench_idle(struct store *store, struct bench_floor *base, size_t claimers, size_t rounds);
