/*
 * bench_store: what the stores cost beside the raw floor: bench_store sqlite:FILE | redis://HOST:PORT [SECONDS]
 *
 * Adds are durable as the store is set up.  The floor is the same bytes with nothing around them: SQLite, one INSERT of
 * the payload a submission and one commit a batch; Redis, pipelined SETs, one answer read a batch.  One caller unless
 * said otherwise.  Prints one line a figure: name, per second, ratio to its floor.
 */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/config.h"
#include "store/redis_link.h"
#include "store/store.h"

#define PAYLOAD_BYTES 1024
#define RESULT_BYTES 600
#define BATCH_MAX 100

static char payload[PAYLOAD_BYTES];
static double seconds = 1.0;

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, why);
    exit(1);
}

static double since_s(uint64_t from_us)
{
    return (double)(clock_mono_us() - from_us) / 1e6;
}

/* ---- floors ---- */

static double floor_sqlite(const char *file, size_t batch)
{
    char path[512];
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    (void)snprintf(path, sizeof path, "%s.floor", file);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE IF NOT EXISTS job(id INTEGER PRIMARY KEY, body BLOB)",
                     NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "INSERT INTO job(body) VALUES(?1)", -1, &insert, NULL) != SQLITE_OK)
        die("floor", sqlite3_errmsg(db));
    (void)sqlite3_bind_blob(insert, 1, payload, sizeof payload, SQLITE_STATIC);
    size_t done = 0;
    uint64_t from = clock_mono_us();
    while (since_s(from) < seconds) {
        bool failed = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK;
        for (size_t i = 0; i < batch && !failed; i++)
            failed = sqlite3_step(insert) != SQLITE_DONE || sqlite3_reset(insert) != SQLITE_OK;
        if (failed || sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
            die("floor", sqlite3_errmsg(db));
        done += batch;
    }
    double rate = (double)done / since_s(from);
    (void)sqlite3_finalize(insert);
    (void)sqlite3_close(db);
    (void)remove(path);
    return rate;
}

static double floor_redis(const char *url, size_t batch)
{
    struct redis_address address;
    struct error err;
    if (redis_address_parse(url, &address, &err) < 0)
        die("floor", err.text);
    redisContext *context = redisConnect(address.host, (int)strtol(address.port, NULL, 10));
    if (context == NULL || context->err != 0)
        die("floor", "cannot connect");
    size_t done = 0;
    uint64_t from = clock_mono_us();
    while (since_s(from) < seconds) {
        for (size_t i = 0; i < batch; i++)
            (void)redisAppendCommand(context, "SET floor:%llu %b EX 60", (unsigned long long)(done + i), payload,
                                     sizeof payload);
        for (size_t i = 0; i < batch; i++) {
            redisReply *reply = NULL;
            if (redisGetReply(context, (void **)&reply) != REDIS_OK || reply->type != REDIS_REPLY_STATUS)
                die("floor", "SET failed");
            freeReplyObject(reply);
        }
        done += batch;
    }
    double rate = (double)done / since_s(from);
    redisFree(context);
    return rate;
}

/* ---- the store ---- */

static const char *const lanes[] = { "c", "cpp", "python", "javascript", "java", "bash", NULL };

static void fill(struct store_new news[], size_t len)
{
    for (size_t i = 0; i < len; i++) {
        news[i] = (struct store_new){ .priority = PRIORITY_NORMAL, .payload = { payload, sizeof payload } };
        token_new(news[i].token);
        (void)snprintf(news[i].lane, sizeof news[i].lane, "%s", lanes[(unsigned char)news[i].token[TOKEN_LEN - 1] % 6]);
    }
}

static double bench_add(struct store *store, size_t batch, size_t *added)
{
    struct store_new news[BATCH_MAX];
    struct error err;
    size_t done = 0;
    uint64_t from = clock_mono_us();
    while (since_s(from) < seconds) {
        fill(news, batch);
        if (store_add(store, news, batch, &err) < 0)
            die("add", err.text);
        done += batch;
    }
    *added += done;
    return (double)done / since_s(from);
}

struct adder {
    struct store *store;
    _Atomic size_t *done;
};

static void *add_singly(void *context)
{
    struct adder *adder = context;
    struct store_new entry;
    struct error err;
    uint64_t from = clock_mono_us();
    while (since_s(from) < seconds) {
        fill(&entry, 1);
        if (store_add(adder->store, &entry, 1, &err) < 0)
            die("add", err.text);
        atomic_fetch_add(adder->done, 1);
    }
    return NULL;
}

/* Sixteen callers with one submission each: what group commit is for. */
static double bench_add_crowd(struct store *store, size_t *added)
{
    _Atomic size_t done = 0;
    struct adder adder = { store, &done };
    pthread_t threads[16];
    uint64_t from = clock_mono_us();
    for (size_t i = 0; i < 16; i++)
        if (pthread_create(&threads[i], NULL, add_singly, &adder) != 0)
            die("add", "no thread");
    for (size_t i = 0; i < 16; i++)
        (void)pthread_join(threads[i], NULL);
    *added += done;
    return (double)done / since_s(from);
}

static double bench_run(struct store *store, size_t max, size_t *left)
{
    static char result[RESULT_BYTES];
    struct store_worker worker = { .name = "bench", .slots = 1, .lanes = lanes };
    struct error err;
    size_t done = 0;
    uint64_t from = clock_mono_us();
    while (since_s(from) < seconds && *left > 0) {
        struct store_claim claims[BATCH_MAX];
        size_t len = 0;
        bool kept = false;
        if (store_claim(store, &worker, max, 0, claims, &len, &err) < 0)
            die("claim", err.text);
        for (size_t i = 0; i < len; i++) {
            struct text text = { result, sizeof result };
            if (store_finish(store, claims[i].token, claims[i].attempt, SUBMISSION_COMPLETED, text, &kept, &err) < 0)
                die("finish", err.text);
            store_claim_done(&claims[i]);
        }
        done += len;
        *left -= len < *left ? len : *left;
        if (len == 0)
            break;
    }
    return (double)done / since_s(from);
}

static double bench_depth(struct store *store)
{
    struct store_depth *depth = malloc(sizeof *depth);
    struct error err;
    size_t done = 0;
    uint64_t from = clock_mono_us();
    while (since_s(from) < seconds / 2) {
        if (store_depth(store, depth, &err) < 0)
            die("depth", err.text);
        done++;
    }
    (void)printf("%-34s %10.0f /s  (%llu waiting)\n", "depth", (double)done / since_s(from),
                 (unsigned long long)depth->waiting);
    free(depth);
    return (double)done;
}

static void print_ratio(const char *name, size_t batch, double rate, double floor)
{
    char label[64];
    (void)snprintf(label, sizeof label, batch > 0 ? "%s, batches of %zu" : "%s", name, batch);
    (void)printf("%-34s %10.0f /s  floor %10.0f /s  ratio %.2f\n", label, rate, floor, rate / floor);
}

int main(int argc, char **argv)
{
    struct config config;
    struct error err;
    struct store *store;
    if (argc < 2)
        die("usage", "bench_store sqlite:FILE | redis://HOST:PORT [SECONDS]");
    if (argc > 2)
        seconds = strtod(argv[2], NULL);
    if (config_load(&config, NULL, &err) < 0 || config_set(&config, "store", argv[1], CONFIG_FLAG, &err) < 0 ||
        config_set(&config, "queue_max", "100000000", CONFIG_FLAG, &err) < 0 || store_open(&config, &store, &err) < 0)
        die("open", err.text);
    bool is_sqlite = strcmp(store->kind, "sqlite") == 0;
    const char *where = is_sqlite ? argv[1] + strlen("sqlite:") : argv[1];
    size_t added = 0;
    double floor_single = 0;
    for (size_t batch = 1; batch <= BATCH_MAX; batch = batch == 1 ? 20 : batch * 5) {
        double floor = is_sqlite ? floor_sqlite(where, batch) : floor_redis(where, batch);
        floor_single = batch == 1 ? floor : floor_single;
        print_ratio("add", batch, bench_add(store, batch, &added), floor);
    }
    print_ratio("add, 16 callers one each", 0, bench_add_crowd(store, &added), floor_single);
    (void)bench_depth(store);
    print_ratio("claim + finish, one at a time", 0, bench_run(store, 1, &added), floor_single);
    print_ratio("claim + finish, claims of 20", 0, bench_run(store, 20, &added), floor_single);
    store_close(store);
    return 0;
}
