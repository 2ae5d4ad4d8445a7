/*
 * bench_queue: measures the stores: bench_queue sqlite:FILE | redis://HOST:PORT [--quick]
 *
 * A number of submissions waits and a number of workers is registered.  Batches are added, claimed and finished in
 * turn, so the depth stays constant, and each of the three is timed separately.  Its floor is measured in the same
 * loop, so that other load on the machine affects both alike.  The floor is, for Redis, the same commands in one
 * pipeline without a script; for SQLite, the same rows in bare tables with one commit (bench_queue_floor.c).
 *
 * First with 1,000 waiting and 10 workers, then with 1,000,000 and 1,000 (--quick: 100,000).  The last column is the
 * slowdown between the two.  It compares the ratios to the floors, which do not depend on what waits, so that a busier
 * machine does not count as a slower queue.  Before that: how soon an idle claimer returns with a new submission
 * (bench_queue_idle.c).  At the end: the memory for each waiting submission.
 *
 * The store must be empty and otherwise unused.
 */
#include "bench_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { BATCHES = 3 };
static const size_t batches[BATCHES] = { 1, 20, 100 };
static double seconds = 2.0;

_Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_queue: %s: %s\n", what, why);
    exit(1);
}

/* ---- the store ---- */

const char *const bench_queues[] = { "c", "cpp", "python", "javascript", "java", "bash", NULL };
char bench_payload[PAYLOAD_BYTES], bench_result[RESULT_BYTES];

static void fill(struct store *store, struct store_new news[], size_t len)
{
    for (size_t i = 0; i < len; i++) {
        news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .payload = { bench_payload, PAYLOAD_BYTES } };
        store_new_token(store, "", news[i].token);
        /* Not the last character: it may be the number of a shard. */
        (void)snprintf(news[i].queue, sizeof news[i].queue, "%s",
                       bench_queues[(unsigned char)news[i].token[TOKEN_LEN - 2] % 6]);
    }
}

void bench_add(struct store *store, size_t len)
{
    struct store_new news[BATCH_MAX];
    struct error err;
    fill(store, news, len);
    if (store_add(store, news, len, &err) < 0)
        die("add", err.text);
}

enum step { ADD, CLAIM, FINISH, FLOOR_ADD, FLOOR_CLAIM, FLOOR_FINISH, STEPS };
#define TURNS_MAX 20000

/* Microseconds of each step of each turn.  The fastest fifth counts: other load has slowed down the rest. */
struct spent {
    float *us[STEPS];
    size_t turns, batch;
};

static double since_s(uint64_t from_us)
{
    return (double)(clock_mono_us() - from_us) / 1e6;
}

static void note(struct spent *spent, enum step step, uint64_t *from_us)
{
    uint64_t now = clock_mono_us();
    spent->us[step][spent->turns] = (float)(now - *from_us);
    *from_us = now;
}

/* One turn: adds a batch, claims as many and finishes all of them. */
static void turn(struct store *store, struct bench_floor *base, struct store_worker *worker, struct spent *spent)
{
    struct store_claim claims[BATCH_MAX];
    struct error err;
    size_t batch = spent->batch, len = 0;
    bool kept = false;
    uint64_t at = clock_mono_us();
    bench_add(store, batch);
    note(spent, ADD, &at);
    if (store_claim(store, worker, batch, 0, claims, &len, &err) < 0 || len != batch)
        die("claim", len != batch ? "fewer than wait" : err.text);
    note(spent, CLAIM, &at);
    for (size_t i = 0; i < len; i++) {
        struct text result = { bench_result, RESULT_BYTES };
        if (store_finish(store, "one", claims[i].token, claims[i].attempt, SUBMISSION_COMPLETED, result, &kept, &err) <
                0 ||
            !kept)
            die("finish", kept ? err.text : "not kept");
    }
    note(spent, FINISH, &at);
    for (size_t i = 0; i < len; i++)
        store_claim_done(&claims[i]);
    at = clock_mono_us();
    floor_add(base, batch);
    note(spent, FLOOR_ADD, &at);
    floor_claim(base, batch);
    note(spent, FLOOR_CLAIM, &at);
    floor_finish(base, batch);
    note(spent, FLOOR_FINISH, &at);
    spent->turns++;
}

static void register_workers(struct store *store, size_t len)
{
    struct store_worker worker = { .slots = 2, .queues = bench_queues };
    struct error err;
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(worker.name, sizeof worker.name, "simulated-%zu", i);
        if (store_heartbeat(store, &worker, NULL, 0, &err) < 0)
            die("heartbeat", err.text);
    }
}

static void measure(struct store *store, struct bench_floor *base, size_t workers, struct spent spent[BATCHES])
{
    struct store_worker worker = { .slots = 2, .queues = bench_queues };
    unsigned next = 0;
    for (size_t i = 0; i < BATCHES; i++) {
        spent[i] = (struct spent){ .batch = batches[i] };
        for (size_t step = 0; step < STEPS; step++)
            if ((spent[i].us[step] = calloc(TURNS_MAX, sizeof(float))) == NULL)
                die("measure", "no memory");
        uint64_t from = clock_mono_us();
        while (since_s(from) < seconds && spent[i].turns < TURNS_MAX) {
            (void)snprintf(worker.name, sizeof worker.name, "simulated-%zu", next++ % workers);
            turn(store, base, &worker, &spent[i]);
        }
    }
}

static double measure_depth(struct store *store, uint64_t *ret_waiting)
{
    struct queue_depth *depth = malloc(sizeof *depth);
    struct error err;
    size_t done = 0;
    uint64_t from = clock_mono_us();
    while (since_s(from) < seconds / 4) {
        if (depth == NULL || store_depth(store, depth, &err) < 0)
            die("depth", depth != NULL ? err.text : "no memory");
        done++;
    }
    *ret_waiting = depth->waiting;
    free(depth);
    return (double)done / since_s(from);
}

/* ---- the report ---- */

static int by_length(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return a < b ? -1 : a > b;
}

/* Submissions a second, from the first quintile of the turns. */
static double rate_of(const struct spent *spent, enum step step)
{
    qsort(spent->us[step], spent->turns, sizeof(float), by_length);
    return (double)spent->batch * 1e6 / (double)spent->us[step][spent->turns / 5];
}

static void print_rows(const struct spent few[BATCHES], const struct spent many[BATCHES])
{
    static const char *const names[] = { [ADD] = "add", [CLAIM] = "claim", [FINISH] = "finish" };
    for (enum step step = ADD; step <= FINISH; step++)
        for (size_t i = 0; i < BATCHES; i++) {
            double a = rate_of(&few[i], step), b = rate_of(&many[i], step);
            double a_of_floor = a / rate_of(&few[i], step + FLOOR_ADD);
            double b_of_floor = b / rate_of(&many[i], step + FLOOR_ADD);
            (void)printf("%-8s batches of %3zu  %10.0f /s  %5.2f of floor %10.0f /s  %5.2f of floor  slower by %.2f\n",
                         names[step], batches[i], a, a_of_floor, b, b_of_floor, a_of_floor / b_of_floor);
        }
}

static void spent_done(struct spent spent[BATCHES])
{
    for (size_t i = 0; i < BATCHES; i++)
        for (size_t step = 0; step < STEPS; step++)
            free(spent[i].us[step]);
}

static struct store *open_store(const char *url)
{
    struct config config;
    struct error err;
    struct store *store;
    if (config_load(&config, NULL, &err) < 0 || config_set(&config, "store", url, CONFIG_FLAG, &err) < 0 ||
        config_set(&config, "queue_max", "100000000", CONFIG_FLAG, &err) < 0 ||
        config_set(&config, "result_ttl_seconds", "1", CONFIG_FLAG, &err) < 0 || store_open(&config, &store, &err) < 0)
        die("open", err.text);
    return store;
}

static void run(struct store *store, struct bench_floor *base, bool quick)
{
    struct spent few[BATCHES], many[BATCHES];
    const size_t deep = quick ? 100000 : 1000000;
    uint64_t waiting = 0;

    bench_idle(store, base, 1, quick ? 100 : 500);
    bench_idle(store, base, 1000, quick ? 100 : 500);
    register_workers(store, 10);
    for (size_t i = 0; i < 10; i++)
        bench_add(store, 100);
    measure(store, base, 10, few);
    double few_depths = measure_depth(store, &waiting);

    register_workers(store, 1000);
    uint64_t before = floor_bytes(base), from = clock_mono_us();
    for (size_t i = 0; i < (deep - 1000) / 100; i++)
        bench_add(store, 100);
    double filled_s = since_s(from);
    uint64_t bytes = floor_bytes(base) - before;
    register_workers(store, 1000); /* their heartbeats may have expired since */
    measure(store, base, 1000, many);
    double many_depths = measure_depth(store, &waiting);

    (void)printf("%-8s                 %10s waiting, 10 workers        %10zu waiting, 1000 workers\n", "", "1000",
                 deep);
    print_rows(few, many);
    spent_done(few);
    spent_done(many);
    (void)printf("depth                    %10.0f /s                 %10.0f /s                  slower by %.2f\n",
                 few_depths, many_depths, few_depths / many_depths);
    (void)printf("filling to %llu waiting: %.0f /s; %.0f bytes for each, with a payload of %d\n",
                 (unsigned long long)waiting, (double)(deep - 1000) / filled_s, (double)bytes / (double)(deep - 1000),
                 PAYLOAD_BYTES);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3)
        die("usage", "bench_queue sqlite:FILE | redis://HOST:PORT [--quick]");
    bool quick = argc == 3 && strcmp(argv[2], "--quick") == 0;
    if (quick)
        seconds = 0.4;
    /* Varied content, so that nothing is compressed or cached by chance. */
    for (size_t i = 0; i < PAYLOAD_BYTES; i++)
        bench_payload[i] = (char)('a' + (i * i + 7 * i) % 26);
    memcpy(bench_result, bench_payload, RESULT_BYTES);
    struct store *store = open_store(argv[1]);
    struct bench_floor *base = floor_open(argv[1]);
    run(store, base, quick);
    floor_close(base);
    store_close(store);
    return 0;
}
