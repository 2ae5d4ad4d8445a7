/* bench_queue_floor: the same rows and commands without a store around them. */
#include "bench_queue.h"

#include <hiredis/hiredis.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "queue/redis/connection.h"

struct bench_floor {
    redisContext *redis; /* NULL: SQLite */
    char file[512];      /* of the store, for its size */
    char own[530];
    sqlite3 *db;
    sqlite3_stmt *insert, *update, *result, *erase;
    uint64_t added, claimed, finished;
};

/* ---- Redis ---- */

static redisReply *reply_of(struct bench_floor *base)
{
    redisReply *reply = NULL;
    if (redisGetReply(base->redis, (void **)&reply) != REDIS_OK || reply->type == REDIS_REPLY_ERROR)
        die("floor", "a command failed");
    return reply;
}

static void read_replies(struct bench_floor *base, size_t len)
{
    for (size_t i = 0; i < len; i++)
        freeReplyObject(reply_of(base));
}

/* The commands of scripts/add.lua for a batch of one queue, in the same order. */
static void redis_add_raw(struct bench_floor *base, size_t len)
{
    redisContext *redis = base->redis;
    size_t sent = 0;
    for (size_t i = 0; i < len; i++, sent++)
        (void)redisAppendCommand(redis, "EXISTS {floor}:sub:01M7NX4ZK1EXAMPLE%010llu", base->added + i);
    (void)redisAppendCommand(redis, "TIME");
    (void)redisAppendCommand(redis, "HMGET {floor}:depth waiting payloads results");
    (void)redisAppendCommand(redis, "HINCRBY {floor}:depth payloads %d", (int)len * PAYLOAD_BYTES);
    (void)redisAppendCommand(redis, "INCRBY {floor}:seq %d", (int)len);
    for (size_t i = 0; i < len; i++, sent += 3) {
        unsigned long long id = base->added + i;
        (void)redisAppendCommand(redis,
                                 "HSET {floor}:sub:01M7NX4ZK1EXAMPLE%010llu state 0 priority 1 lane python seq %llu "
                                 "attempt 0 lost 0 created 1764000000000 queued 1764000000000 bytes %d",
                                 id, id, PAYLOAD_BYTES);
        (void)redisAppendCommand(redis, "SET {floor}:job:01M7NX4ZK1EXAMPLE%010llu %b", id, bench_payload,
                                 (size_t)PAYLOAD_BYTES);
        (void)redisAppendCommand(redis, "ZADD {floor}:queue:1:python %llu 01M7NX4ZK1EXAMPLE%010llu", id, id);
    }
    (void)redisAppendCommand(redis, "HINCRBY {floor}:depth waiting %d", (int)len);
    (void)redisAppendCommand(redis, "HINCRBY {floor}:depth w:python %d", (int)len);
    (void)redisAppendCommand(redis, "ZADD {floor}:heads:1 LT %llu python", (unsigned long long)base->added);
    (void)redisAppendCommand(redis, "RPUSH {floor}:bell:python 1");
    read_replies(base, sent + 8);
}

/* The commands of scripts/claim.lua. */
static void redis_claim_raw(struct bench_floor *base, size_t len)
{
    redisContext *redis = base->redis;
    (void)redisAppendCommand(redis, "TIME");
    (void)redisAppendCommand(redis, "HGET {floor}:depth results");
    (void)redisAppendCommand(redis, "HGET {floor}:turns set");
    for (size_t i = 0; i < len; i++) {
        unsigned long long id = base->claimed + i;
        (void)redisAppendCommand(redis, "ZMSCORE {floor}:heads:1 c cpp python javascript java bash");
        (void)redisAppendCommand(redis, "ZPOPMIN {floor}:queue:1:python");
        (void)redisAppendCommand(redis, "ZRANGE {floor}:queue:1:python 0 0");
        (void)redisAppendCommand(redis, "ZADD {floor}:heads:1 %llu python", id + 1);
        (void)redisAppendCommand(redis, "HMGET {floor}:sub:01M7NX4ZK1EXAMPLE%010llu state queued client lost attempt",
                                 id);
        (void)redisAppendCommand(redis,
                                 "HSET {floor}:sub:01M7NX4ZK1EXAMPLE%010llu state 1 started 1764000000001 "
                                 "worker simulated attempt 1",
                                 id);
        (void)redisAppendCommand(redis, "ZADD {floor}:leases %llu 01M7NX4ZK1EXAMPLE%010llu", id, id);
        (void)redisAppendCommand(redis, "HINCRBY {floor}:depth waiting -1");
        (void)redisAppendCommand(redis, "HINCRBY {floor}:depth w:python -1");
        (void)redisAppendCommand(redis, "HINCRBY {floor}:depth r:python 1");
        (void)redisAppendCommand(redis, "PUBLISH {floor}:events 01M7NX4ZK1EXAMPLE%010llu", id);
        (void)redisAppendCommand(redis, "GET {floor}:job:01M7NX4ZK1EXAMPLE%010llu", id);
    }
    (void)redisAppendCommand(redis, "HSET {floor}:turns set 1");
    (void)redisAppendCommand(redis, "SET {floor}:asked:one 1234567890 PX 30000");
    (void)redisAppendCommand(redis, "LTRIM {floor}:bell:python 0 1000");
    read_replies(base, 12 * len + 6);
}

/* The commands of scripts/finish.lua for one submission. */
static void redis_finish_raw(struct bench_floor *base, unsigned long long id)
{
    redisContext *redis = base->redis;
    (void)redisAppendCommand(
        redis, "HMGET {floor}:sub:01M7NX4ZK1EXAMPLE%010llu state attempt lane by client created started bytes", id);
    (void)redisAppendCommand(redis, "HINCRBY {floor}:depth r:python -1");
    (void)redisAppendCommand(redis, "HINCRBY {floor}:depth payloads -%d", PAYLOAD_BYTES);
    (void)redisAppendCommand(redis, "HINCRBY {floor}:depth results %d", RESULT_BYTES);
    (void)redisAppendCommand(redis, "HINCRBY {floor}:ended:1764000000000 all %d", RESULT_BYTES);
    (void)redisAppendCommand(redis, "ZREM {floor}:leases 01M7NX4ZK1EXAMPLE%010llu", id);
    (void)redisAppendCommand(redis, "DEL {floor}:job:01M7NX4ZK1EXAMPLE%010llu", id);
    (void)redisAppendCommand(redis, "TIME");
    (void)redisAppendCommand(redis,
                             "HSET {floor}:sub:01M7NX4ZK1EXAMPLE%010llu state 2 finished 1764000000002 cancelled 0 "
                             "by 01M7NX4ZK1EXAMPLE0000000000",
                             id);
    (void)redisAppendCommand(redis, "PEXPIRE {floor}:sub:01M7NX4ZK1EXAMPLE%010llu 1000", id);
    (void)redisAppendCommand(redis, "SET {floor}:out:01M7NX4ZK1EXAMPLE%010llu %b PX 1000", id, bench_result,
                             (size_t)RESULT_BYTES);
    (void)redisAppendCommand(redis, "PUBLISH {floor}:events 01M7NX4ZK1EXAMPLE%010llu", id);
    read_replies(base, 12);
}

/* ---- SQLite ---- */

static void step(struct bench_floor *base, sqlite3_stmt *statement)
{
    if (sqlite3_step(statement) != SQLITE_DONE || sqlite3_reset(statement) != SQLITE_OK)
        die("floor", sqlite3_errmsg(base->db));
}

static void run_sql(struct bench_floor *base, const char *sql)
{
    if (sqlite3_exec(base->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die("floor", sqlite3_errmsg(base->db));
}

static void open_sqlite(struct bench_floor *base)
{
    (void)snprintf(base->own, sizeof base->own, "%s.floor", base->file);
    if (sqlite3_open(base->own, &base->db) != SQLITE_OK)
        die("floor", sqlite3_errmsg(base->db));
    run_sql(base, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                  "CREATE TABLE job(id INTEGER PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0, body BLOB);"
                  "CREATE TABLE result(id INTEGER PRIMARY KEY, body BLOB)");
    if (sqlite3_prepare_v2(base->db, "INSERT INTO job(id,body) VALUES(?2,?1)", -1, &base->insert, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(base->db, "UPDATE job SET state=1 WHERE id=?1", -1, &base->update, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(base->db, "INSERT INTO result VALUES(?1,?2)", -1, &base->result, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(base->db, "DELETE FROM job WHERE id=?1", -1, &base->erase, NULL) != SQLITE_OK)
        die("floor", sqlite3_errmsg(base->db));
    (void)sqlite3_bind_blob(base->insert, 1, bench_payload, PAYLOAD_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_blob(base->result, 2, bench_result, RESULT_BYTES, SQLITE_STATIC);
}

/* ---- both ---- */

struct bench_floor *floor_open(const char *url)
{
    struct bench_floor *base = calloc(1, sizeof *base);
    struct redis_address address;
    struct error err;
    if (base == NULL)
        die("floor", "no memory");
    if (strncmp(url, "sqlite:", 7) == 0) {
        (void)snprintf(base->file, sizeof base->file, "%s", url + 7);
        open_sqlite(base);
        return base;
    }
    if (redis_address_parse(url, &address, &err) < 0)
        die("floor", err.text);
    base->redis = redisConnect(address.host, (int)strtol(address.port, NULL, 10));
    if (base->redis == NULL || base->redis->err != 0)
        die("floor", "cannot connect");
    return base;
}

void floor_add(struct bench_floor *base, size_t len)
{
    if (base->redis != NULL) {
        redis_add_raw(base, len);
    } else {
        run_sql(base, "BEGIN IMMEDIATE");
        for (size_t i = 0; i < len; i++) {
            (void)sqlite3_bind_int64(base->insert, 2, (sqlite3_int64)(base->added + i + 1));
            step(base, base->insert);
        }
        run_sql(base, "COMMIT");
    }
    base->added += len;
}

void floor_claim(struct bench_floor *base, size_t len)
{
    if (base->redis != NULL) {
        redis_claim_raw(base, len);
    } else {
        run_sql(base, "BEGIN IMMEDIATE");
        for (size_t i = 0; i < len; i++) {
            (void)sqlite3_bind_int64(base->update, 1, (sqlite3_int64)(base->claimed + i + 1));
            step(base, base->update);
        }
        run_sql(base, "COMMIT");
    }
    base->claimed += len;
}

void floor_finish(struct bench_floor *base, size_t len)
{
    for (size_t i = 0; i < len; i++, base->finished++) {
        if (base->redis != NULL) {
            redis_finish_raw(base, base->finished);
            continue;
        }
        run_sql(base, "BEGIN IMMEDIATE");
        (void)sqlite3_bind_int64(base->erase, 1, (sqlite3_int64)(base->finished + 1));
        (void)sqlite3_bind_int64(base->result, 1, (sqlite3_int64)(base->finished + 1));
        step(base, base->result);
        step(base, base->erase);
        run_sql(base, "COMMIT");
    }
}

/* A number in the answer to INFO; 0 if it is not there. */
static uint64_t info_number(struct bench_floor *base, const char *section, const char *name)
{
    (void)redisAppendCommand(base->redis, "INFO %s", section);
    redisReply *reply = reply_of(base);
    const char *at = strstr(reply->str, name);
    uint64_t number = at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
    freeReplyObject(reply);
    return number;
}

uint64_t floor_scripts(struct bench_floor *base)
{
    if (base->redis == NULL)
        return 0;
    return info_number(base, "commandstats", "cmdstat_evalsha:calls=") +
           info_number(base, "commandstats", "cmdstat_eval:calls=");
}

void floor_wait_blocked(struct bench_floor *base, size_t len)
{
    const struct timespec nap = { 0, 5000000 };
    for (int i = 0; base->redis != NULL && info_number(base, "clients", "blocked_clients:") < len; i++) {
        if (i > 6000)
            die("idle", "the claimers do not wait");
        (void)nanosleep(&nap, NULL);
    }
}

uint64_t floor_bytes(struct bench_floor *base)
{
    struct stat status;
    if (base->redis == NULL) {
        char wal[530];
        uint64_t bytes = stat(base->file, &status) == 0 ? (uint64_t)status.st_size : 0;
        (void)snprintf(wal, sizeof wal, "%s-wal", base->file);
        return bytes + (stat(wal, &status) == 0 ? (uint64_t)status.st_size : 0);
    }
    return info_number(base, "memory", "used_memory_dataset:");
}

void floor_close(struct bench_floor *base)
{
    if (base->redis != NULL)
        redisFree(base->redis);
    (void)sqlite3_finalize(base->insert);
    (void)sqlite3_finalize(base->update);
    (void)sqlite3_finalize(base->result);
    (void)sqlite3_finalize(base->erase);
    (void)sqlite3_close(base->db);
    free(base);
}
