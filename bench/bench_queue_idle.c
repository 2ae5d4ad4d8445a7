/*
 * bench_queue_idle: how soon a submission wakes an idle claimer, and how many others, with one claimer and with many.
 *
 * Every claimer is a thread that waits in store_claim.  A round adds one submission and waits until a claimer returns
 * with it.  `wakes` counts the returns from store_claim, with or without a submission; the aim is one a round.
 */
#include "bench_queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"

#define STACK_BYTES (512 * 1024)

struct crowd {
    struct store *store;
    _Atomic uint64_t returned_us; /* when a claimer returned with the submission of this round */
    _Atomic uint64_t finished, wakes;
    _Atomic bool is_ending;
};

struct idler {
    struct crowd *crowd;
    size_t number;
    pthread_t thread;
};

static void *idle(void *context)
{
    const struct idler *idler = context;
    struct crowd *crowd = idler->crowd;
    struct store_worker worker = { .slots = 1, .queues = bench_queues };
    (void)snprintf(worker.name, sizeof worker.name, "idler-%zu", idler->number);
    while (!atomic_load(&crowd->is_ending)) {
        struct store_claim claim;
        struct error err;
        size_t len = 0;
        bool kept;
        if (store_claim(crowd->store, &worker, 1, 600000, &claim, &len, &err) < 0)
            die("claim", err.text);
        uint64_t now = clock_mono_us();
        if (atomic_load(&crowd->is_ending))
            break;
        atomic_fetch_add(&crowd->wakes, 1);
        if (len == 0)
            continue;
        atomic_store(&crowd->returned_us, now);
        struct text result = { bench_result, RESULT_BYTES };
        if (store_finish(crowd->store, "one", claim.token, claim.attempt, SUBMISSION_COMPLETED, result, &kept, &err) <
            0)
            die("finish", err.text);
        store_claim_done(&claim);
        atomic_fetch_add(&crowd->finished, 1);
    }
    return NULL;
}

static int by_size(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Measures from before the add to the return of the claim.  The next round begins when all wait again. */
static uint64_t one_round(struct crowd *crowd, struct bench_floor *base, size_t claimers, uint64_t round)
{
    struct timespec nap = { 0, 5000000 };
    (void)nanosleep(&nap, NULL);
    floor_wait_blocked(base, claimers);
    atomic_store(&crowd->returned_us, 0);
    uint64_t from = clock_mono_us(), until = from + 5000000, returned = 0;
    bench_add(crowd->store, 1);
    nap.tv_nsec = 50000;
    while ((returned = atomic_load(&crowd->returned_us)) == 0 && clock_mono_us() < until)
        (void)nanosleep(&nap, NULL);
    while (atomic_load(&crowd->finished) < round + 1 && clock_mono_us() < until)
        (void)nanosleep(&nap, NULL);
    if (returned == 0)
        die("idle", "nobody was woken in 5 s");
    return returned - from;
}

static void start_crowd(struct crowd *crowd, struct idler idlers[], size_t len)
{
    pthread_attr_t small;
    struct rlimit files;
    /* Each needs a connection and an eventfd. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (pthread_attr_init(&small) != 0 || pthread_attr_setstacksize(&small, STACK_BYTES) != 0)
        die("idle", "no attributes for threads");
    for (size_t i = 0; i < len; i++) {
        idlers[i] = (struct idler){ .crowd = crowd, .number = i };
        if (pthread_create(&idlers[i].thread, &small, idle, &idlers[i]) != 0)
            die("idle", "no thread");
    }
    (void)pthread_attr_destroy(&small);
    struct timespec nap = { 0, 500000000 };
    (void)nanosleep(&nap, NULL); /* until they wait */
}

void bench_idle(struct store *store, struct bench_floor *base, size_t claimers, size_t rounds)
{
    struct crowd crowd = { .store = store };
    struct idler *idlers = calloc(claimers, sizeof *idlers);
    uint64_t *took = calloc(rounds, sizeof *took);
    if (took == NULL || idlers == NULL)
        die("idle", "no memory");
    start_crowd(&crowd, idlers, claimers);
    (void)one_round(&crowd, base, claimers, 0); /* the server learns the scripts */
    atomic_store(&crowd.wakes, 0);
    floor_wait_blocked(base, claimers);
    uint64_t scripts = floor_scripts(base);
    for (size_t i = 0; i < rounds; i++)
        took[i] = one_round(&crowd, base, claimers, i + 1);
    floor_wait_blocked(base, claimers);
    scripts = floor_scripts(base) - scripts;
    uint64_t wakes = atomic_load(&crowd.wakes);
    atomic_store(&crowd.is_ending, true);
    for (size_t i = 0; i < claimers; i++) {
        store_wake(store); /* repeatedly: a claimer that was about to wait again gets the next one */
        (void)pthread_join(idlers[i].thread, NULL);
    }
    qsort(took, rounds, sizeof *took, by_size);
    (void)printf("add to claim, %4zu idle workers   p50 %.2f ms   p99 %.2f ms   worst %.2f ms   (%zu rounds; aim 5)   "
                 "%.2f woken for each",
                 claimers, (double)took[rounds / 2] / 1000, (double)took[rounds * 99 / 100] / 1000,
                 (double)took[rounds - 1] / 1000, rounds, (double)wakes / (double)rounds);
    if (scripts > 0)
        (void)printf(", %.2f scripts", (double)scripts / (double)rounds);
    (void)printf("\n");
    free(took);
    free(idlers);
}
