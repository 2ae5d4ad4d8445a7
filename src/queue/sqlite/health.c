/*
 * sqlite/health: notices that the file was deleted, replaced or damaged under the running server, and keeps the
 * write-ahead log short.
 *
 * A deleted file still takes commits, because this process has it open; all of them are lost when it ends.  So the
 * paths are compared with the files that were open at the start, at most once in LOOK_MS, before a group of ops and
 * before a read.  A damaged page is reported by the statement that reads it.  Pages that nobody reads are checked once
 * in CHECK_MS while the file is small enough for that to take milliseconds.  After damage nothing is accepted until
 * evalx is restarted, and opening a damaged file fails.
 */
#include "queue/sqlite/sqlite_store.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"

#define LOOK_MS 1000u
#define CHECK_MS 30000u
#define CHECK_BYTES_MAX ((int64_t)64 << 20) /* of the file; reading it takes about 0.1 s */
#define WAL_BYTES_MAX ((int64_t)64 << 20)

static const char *const file_ends[SQLITE_FILES] = { "", "-wal", "-shm" };

static void path_of(const struct sqlite_store *store, size_t i, char ret[SQLITE_PATH_BYTES])
{
    (void)snprintf(ret, SQLITE_PATH_BYTES, "%s%s", store->file, file_ends[i]);
}

static int look_at_files(struct sqlite_store *store, struct error *err)
{
    for (size_t i = 0; i < SQLITE_FILES; i++) {
        char path[SQLITE_PATH_BYTES];
        struct stat now;
        path_of(store, i, path);
        if (stat(path, &now) < 0)
            return error_set(err, ERROR_STORE, errno,
                             "%s was deleted under the running server; put it back, or restart evalx", path);
        if (now.st_dev != store->files[i].dev || now.st_ino != store->files[i].ino)
            return error_set(err, ERROR_STORE, 0,
                             "%s was replaced under the running server; put it back, or restart evalx", path);
    }
    return 0;
}

/* Reads the whole file.  Only in a small one. */
static int check_pages(struct sqlite_store *store, struct error *err)
{
    struct sqlite_connection connection;
    sqlite3_stmt *check = NULL;
    struct stat now;
    if (stat(store->file, &now) < 0 || now.st_size > CHECK_BYTES_MAX)
        return 0;
    if (sqlite_connection_open(store->file, true, &connection, err) < 0)
        return -1;
    int got = sqlite3_prepare_v2(connection.db, "PRAGMA quick_check(1)", -1, &check, NULL);
    if (got == SQLITE_OK)
        got = sqlite3_step(check);
    const char *found = got == SQLITE_ROW ? (const char *)sqlite3_column_text(check, 0) : "";
    int result = 0;
    if (got == SQLITE_ROW && strcmp(found, "ok") != 0) {
        result = sqlite_damaged(store->file, found, err);
    } else if (got != SQLITE_ROW) {
        result = sqlite_fail(connection.db, ERROR_STORE, "check the store", err);
    }
    (void)sqlite3_finalize(check);
    sqlite_connection_close(&connection);
    return result;
}

int sqlite_health_open(struct sqlite_store *store, struct error *err)
{
    for (size_t i = 0; i < SQLITE_FILES; i++) {
        char path[SQLITE_PATH_BYTES];
        struct stat now;
        path_of(store, i, path);
        if (stat(path, &now) < 0)
            return error_set(err, ERROR_SETUP, errno, "open store: %s", path);
        store->files[i] = (struct sqlite_file_id){ now.st_dev, now.st_ino };
    }
    store->checked_ms = clock_mono_us() / 1000;
    return check_pages(store, err);
}

void sqlite_note_failure(struct sqlite_store *store, const struct error *err)
{
    if (err->os != SQLITE_DAMAGED)
        return;
    lock_guard(&store->health_lock);
    if (store->damage.kind == ERROR_NONE) {
        log_error("%s; nothing is accepted until evalx is restarted", err->text);
        store->damage = *err;
        store->damage.kind = ERROR_STORE;
    }
}

int sqlite_health(struct sqlite_store *store, struct error *err)
{
    uint64_t now = clock_mono_us() / 1000;
    lock_guard(&store->health_lock);
    if (store->damage.kind == ERROR_NONE && now - store->looked_ms >= LOOK_MS) {
        store->looked_ms = now;
        store->loss = (struct error){ 0 };
        (void)look_at_files(store, &store->loss);
    }
    const struct error *failure = store->damage.kind != ERROR_NONE ? &store->damage : &store->loss;
    if (failure->kind == ERROR_NONE)
        return 0;
    *err = *failure;
    return -1;
}

/* The log of SQLite keeps its largest size until it is truncated, which only happens when it can start anew. */
static void shorten_wal(struct sqlite_store *store)
{
    struct stat now;
    struct sqlite_connection connection;
    struct error ignored;
    if (fstat(store->wal_fd, &now) < 0 || now.st_size <= WAL_BYTES_MAX ||
        sqlite_connection_open(store->file, false, &connection, &ignored) < 0)
        return;
    /* The first one copies without blocking writers, so the second one holds them for a moment only.  A checkpoint
     * that fails is repeated at the next reaping. */
    (void)sqlite3_wal_checkpoint_v2(connection.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    (void)sqlite3_wal_checkpoint_v2(connection.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite_connection_close(&connection);
}

int sqlite_health_care(struct sqlite_store *store, struct error *err)
{
    uint64_t now = clock_mono_us() / 1000;
    if (sqlite_health(store, err) < 0)
        return -1;
    shorten_wal(store);
    mutex_lock(&store->health_lock);
    bool is_due = now - store->checked_ms >= CHECK_MS;
    if (is_due)
        store->checked_ms = now;
    mutex_unlock(&store->health_lock);
    if (!is_due || check_pages(store, err) == 0)
        return 0;
    sqlite_note_failure(store, err);
    return -1;
}
