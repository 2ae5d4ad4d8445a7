/*
 * sqlite/schema: the file, its tables and its statements.
 *
 * Settings: WAL, so that readers never wait for a commit.  synchronous=NORMAL: SQLite flushes the log before it copies
 * it into the file and before it restarts it, but not at a commit; flush.c does that for commits that must be durable.
 * One flush covers everything before it, because the WAL is one file.  secure_delete=FAST overwrites deleted bytes
 * where that costs no extra write.
 *
 * Rows of `submission` are small and bodies are in other tables, so a change of state writes a few bytes and not the
 * program's source.  Thanks to the partial indexes the cost of a statement does not depend on the number of
 * submissions; tests/contract/sqlite_only.c checks the query plan of each statement.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define APPLICATION_ID 0x65766c78 /* "evlx", so that file(1) and we can tell it from other databases */

static const char *const queries[] = {
#define X(name, sql) [QUERY_##name] = sql,
    SQLITE_QUERIES(X)
#undef X
};

#define CLIENT_COLUMNS(next)                                                                                           \
    "  client TEXT NOT NULL DEFAULT ''" next                                                                           \
    "  tag INTEGER NOT NULL DEFAULT 0" next /* the order in the queue, before seq: see clients.c */                    \
    "  parked INTEGER NOT NULL DEFAULT 0" next "  running_max INTEGER NOT NULL DEFAULT 0" next                         \
    "  retried INTEGER NOT NULL DEFAULT 0" /* was a dead letter */

#define CLIENT_TABLES                                                                                                  \
    "CREATE TABLE keyed(key TEXT PRIMARY KEY, token TEXT NOT NULL, body TEXT NOT NULL, until INTEGER NOT NULL)"        \
    "  WITHOUT ROWID;"                                                                                                 \
    "CREATE INDEX keyed_until ON keyed(until);"                                                                        \
    "CREATE INDEX submission_waiting ON submission(lane, priority, tag) WHERE state = 0 AND parked = 0;"               \
    "CREATE INDEX submission_client ON submission(client, lane, priority, tag)"                                        \
    "  WHERE state = 0 AND parked = 0 AND client <> '';"                                                               \
    "CREATE INDEX submission_named ON submission(created) WHERE state = 0 AND client <> '';"                           \
    "CREATE INDEX submission_parked ON submission(client, priority) WHERE parked = 1;"

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE submission("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT," /* position in the queue */
    "  token TEXT NOT NULL UNIQUE,"
    "  state INTEGER NOT NULL," /* 0 queued, 1 processing, 2 completed, 3 failed */
    "  priority INTEGER NOT NULL,"
    "  lane TEXT NOT NULL,"
    "  attempt INTEGER NOT NULL DEFAULT 0," /* number of leases so far; rejects late finishes */
    "  lost INTEGER NOT NULL DEFAULT 0,"    /* expired leases */
    "  cancelled INTEGER NOT NULL DEFAULT 0,"
    "  created INTEGER NOT NULL," /* ms since 1970, like queued, started and finished; 0: not yet */
    "  queued INTEGER NOT NULL,"
    "  started INTEGER NOT NULL DEFAULT 0,"
    "  finished INTEGER NOT NULL DEFAULT 0,"
    "  lease INTEGER NOT NULL DEFAULT 0," /* when it expires, in ms on the monotonic clock of this process */
    "  worker TEXT NOT NULL DEFAULT '',"  /* '' while it is running: returned, and its delay lasts until `lease` */
    "  returned INTEGER NOT NULL DEFAULT 0,"
    "  bytes INTEGER NOT NULL DEFAULT 0,"   /* see bytes.c */
    "  expires INTEGER NOT NULL DEFAULT 0," /* when the result expires; 0: not finished */
    CLIENT_COLUMNS(
        ",") ");"
             "CREATE TABLE payload(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);"
             "CREATE TABLE result(seq INTEGER PRIMARY KEY, body BLOB NOT NULL);"
             "CREATE TABLE dead(token TEXT PRIMARY KEY, lane TEXT NOT NULL, priority INTEGER NOT NULL,"
             "  attempt INTEGER NOT NULL, created INTEGER NOT NULL, died INTEGER NOT NULL, reason TEXT NOT NULL,"
             "  payload BLOB NOT NULL, client TEXT NOT NULL DEFAULT '', running_max INTEGER NOT NULL DEFAULT 0) "
             "WITHOUT ROWID;"
             "CREATE INDEX submission_lease ON submission(lease) WHERE state = 1;"
             "CREATE INDEX submission_old ON submission(expires) WHERE state >= 2;"
             "CREATE INDEX dead_died ON dead(died);" CLIENT_TABLES "PRAGMA application_id=1702259832;"
             "PRAGMA user_version=3;"
             "COMMIT;";

/* Upgrades from schema 1, which had no named clients. */
static const char schema_2[] =
    "BEGIN IMMEDIATE;"
    "ALTER TABLE submission ADD COLUMN" CLIENT_COLUMNS(
        "; ALTER TABLE submission ADD COLUMN") ";"
                                               "ALTER TABLE dead ADD COLUMN client TEXT NOT NULL DEFAULT '';"
                                               "ALTER TABLE dead ADD COLUMN running_max INTEGER NOT NULL DEFAULT 0;"
                                               "DROP INDEX submission_waiting;" CLIENT_TABLES "PRAGMA user_version=2;"
                                               "COMMIT;";

/* Upgrades from schema 2, which counted neither returns nor bytes.  %llu: for how many ms results are kept. */
#define SCHEMA_3                                                                                                       \
    "BEGIN IMMEDIATE;"                                                                                                 \
    "ALTER TABLE submission ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;"                                           \
    "ALTER TABLE submission ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"                                              \
    "ALTER TABLE submission ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;"                                            \
    "DROP INDEX submission_old;"                                                                                       \
    "CREATE INDEX submission_old ON submission(expires) WHERE state >= 2;"                                             \
    "UPDATE submission SET expires = finished + %llu,"                                                                 \
    "  bytes = coalesce((SELECT length(body) FROM result WHERE result.seq = submission.seq), 0) WHERE state >= 2;"     \
    "UPDATE submission SET"                                                                                            \
    "  bytes = coalesce((SELECT length(body) FROM payload WHERE payload.seq = submission.seq), 0) WHERE state < 2;"    \
    "PRAGMA user_version=3;"                                                                                           \
    "COMMIT;"
static_assert(APPLICATION_ID == 1702259832, "the number in the schema is the one we compare with");
static_assert(SQLITE_SCHEMA_VERSION == 3, "the number in the schema is the one we compare with");

const char *sqlite_query_sql(enum sqlite_query query)
{
    assert((unsigned)query < QUERY_COUNT_);
    return queries[query];
}

int sqlite_damaged(const char *file, const char *found_by, struct error *err)
{
    (void)error_set(err, ERROR_STORE, 0, "%s is damaged (%s); move it away or restore a copy", file, found_by);
    err->os = SQLITE_DAMAGED; /* without the text of that errno */
    return -1;
}

int sqlite_fail(sqlite3 *db, enum error_kind kind, const char *doing, struct error *err)
{
    int code = db != NULL ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;
    const char *file = db != NULL ? sqlite3_db_filename(db, "main") : "";
    int os = db != NULL ? sqlite3_system_errno(db) : 0;
    if (code == SQLITE_IOERR && (os == ENOSPC || os == EDQUOT)) /* the index of the log could not grow */
        code = SQLITE_FULL;
    switch (code) {
    case SQLITE_FULL:
        (void)error_set(err, kind, 0,
                        "%s: the disk is full: no space left for %s; make room, or set EVALX_DATA to another folder",
                        doing, file);
        err->os = ENOSPC;
        return -1;
    case SQLITE_CORRUPT:
        (void)sqlite_damaged(file, doing, err);
        err->kind = kind;
        return -1;
    case SQLITE_NOTADB:
        (void)error_set(err, kind, 0, "%s: %s is no SQLite database; move it away", doing, file);
        err->os = SQLITE_DAMAGED;
        return -1;
    case SQLITE_READONLY:
        return error_set(err, kind, 0, "%s: %s or its folder cannot be written to", doing, file);
    case SQLITE_CANTOPEN:
        return error_set(err, kind, os, "%s: cannot open %s or the files beside it", doing, file);
    default:
        return error_set(err, kind, os, "%s: SQLite %s: %s", doing, file,
                         db != NULL ? sqlite3_errmsg(db) : "out of memory");
    }
}

sqlite3_stmt *sqlite_bind(struct sqlite_connection *connection, enum sqlite_query query, struct error *err,
                          const char *kinds, ...)
{
    sqlite3_stmt *statement = connection->statements[query];
    if (statement == NULL && sqlite3_prepare_v3(connection->db, queries[query], -1, SQLITE_PREPARE_PERSISTENT,
                                                &statement, NULL) != SQLITE_OK) {
        sqlite_fail(connection->db, ERROR_STORE, "prepare statement", err);
        return NULL;
    }
    connection->statements[query] = statement;

    va_list values;
    va_start(values, kinds);
    int failed = SQLITE_OK;
    for (int i = 0; kinds[i] != '\0' && failed == SQLITE_OK; i++) {
        if (kinds[i] == 'i') {
            failed = sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
        } else if (kinds[i] == 't') {
            failed = sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, SQLITE_STATIC);
        } else {
            assert(kinds[i] == 'b');
            struct text bytes = va_arg(values, struct text);
            failed = sqlite3_bind_blob64(statement, i + 1, bytes.len > 0 ? bytes.at : "", bytes.len, SQLITE_STATIC);
        }
    }
    va_end(values);
    if (failed != SQLITE_OK) {
        sqlite_fail(connection->db, ERROR_STORE, "bind values", err);
        return NULL;
    }
    return statement;
}

int sqlite_step(sqlite3_stmt *statement, struct error *err)
{
    if (statement == NULL)
        return -1;
    int got = sqlite3_step(statement);
    if (got == SQLITE_ROW)
        return 1;
    if (got != SQLITE_DONE)
        sqlite_fail(sqlite3_db_handle(statement), ERROR_STORE, "store", err);
    (void)sqlite3_reset(statement); /* repeats the error of the step, which is in *err */
    (void)sqlite3_clear_bindings(statement);
    return got == SQLITE_DONE ? 0 : -1;
}

int sqlite_run_(sqlite3_stmt *statement, struct error *err)
{
    int got = sqlite_step(statement, err);
    assert(got != 1);
    return got;
}

int sqlite_connection_open(const char *file, bool is_reader, struct sqlite_connection *ret, struct error *err)
{
    struct sqlite_connection connection = { 0 };
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (is_reader ? 0 : SQLITE_OPEN_CREATE);
    const char *settings = is_reader ? "PRAGMA busy_timeout=5000; PRAGMA query_only=ON;"
                                     : "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                                       "PRAGMA foreign_keys=ON; PRAGMA secure_delete=FAST;"
                                       "PRAGMA journal_size_limit=67108864;";
    if (sqlite3_open_v2(file, &connection.db, flags, NULL) != SQLITE_OK ||
        sqlite3_exec(connection.db, settings, NULL, NULL, NULL) != SQLITE_OK) {
        sqlite_fail(connection.db, ERROR_SETUP, "open store", err);
        (void)sqlite3_close_v2(connection.db);
        return -1;
    }
    *ret = connection;
    return 0;
}

void sqlite_connection_close(struct sqlite_connection *connection)
{
    for (size_t i = 0; i < QUERY_COUNT_; i++)
        (void)sqlite3_finalize(connection->statements[i]);
    (void)sqlite3_close_v2(connection->db);
    *connection = (struct sqlite_connection){ 0 };
}

static int read_number(sqlite3 *db, const char *sql, int64_t *ret, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW) {
        sqlite_fail(db, ERROR_SETUP, "open store", err);
        (void)sqlite3_finalize(statement);
        return -1;
    }
    *ret = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return 0;
}

/* Creates the tables in an empty file, or upgrades them.  Refuses a file of another program or of a newer version. */
static int check_schema(const struct sqlite_store *store, struct error *err)
{
    const struct sqlite_connection *connection = &store->writer;
    const char *file = store->file;
    char schema_3[sizeof SCHEMA_3 + 24];
    int64_t tables = 0, application = 0, version = 0;
    if (read_number(connection->db, "SELECT count(*) FROM sqlite_schema", &tables, err) < 0 ||
        read_number(connection->db, "PRAGMA application_id", &application, err) < 0 ||
        read_number(connection->db, "PRAGMA user_version", &version, err) < 0)
        return -1;
    if (tables == 0 && application == 0) {
        if (sqlite3_exec(connection->db, schema, NULL, NULL, NULL) != SQLITE_OK)
            return sqlite_fail(connection->db, ERROR_SETUP, "make tables", err);
        return 0;
    }
    if (application != APPLICATION_ID)
        return error_set(err, ERROR_SETUP, 0, "open store: %s is a database of another program", file);
    if (version > SQLITE_SCHEMA_VERSION)
        return error_set(err, ERROR_SETUP, 0,
                         "open store: %s was written by a newer evalx (schema %lld, this one knows up to %d)", file,
                         (long long)version, SQLITE_SCHEMA_VERSION);
    (void)snprintf(schema_3, sizeof schema_3, SCHEMA_3, (unsigned long long)store->budgets.ttl_ms);
    if ((version < 2 && sqlite3_exec(connection->db, schema_2, NULL, NULL, NULL) != SQLITE_OK) ||
        (version < 3 && sqlite3_exec(connection->db, schema_3, NULL, NULL, NULL) != SQLITE_OK)) {
        sqlite_fail(connection->db, ERROR_SETUP, "bring the tables up to date", err);
        (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    return 0;
}

/* Creates missing parent folders of the file, accessible to this user only. */
static int make_folder(const char *file, struct error *err)
{
    char path[CONFIG_STRING_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s", file);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return error_set(err, ERROR_SETUP, errno, "create the folder %s of the store", path);
        *slash = '/';
    }
    return 0;
}

/*
 * flock instead of fcntl: it also excludes a second store in the same process, and closing another descriptor of the
 * file does not release it.
 */
static int take_lock(struct sqlite_store *store, struct error *err)
{
    char path[sizeof store->file + 8];
    (void)snprintf(path, sizeof path, "%s.lock", store->file);
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open store: %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int os = errno;
        char owner[32] = "";
        ssize_t len = read(fd, owner, sizeof owner - 1);
        owner[len > 0 ? strcspn(owner, "\n") : 0] = '\0';
        if (os == EWOULDBLOCK)
            return error_set(err, ERROR_SETUP, 0,
                             "open store: %s is in use by process %s; one process at a time (use Redis for more)",
                             store->file, owner[0] != '\0' ? owner : "unknown");
        return error_set(err, ERROR_SETUP, os, "open store: lock %s", path);
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
        return error_set(err, ERROR_SETUP, errno, "open store: write to %s", path);
    store->lock_fd = take_fd(&fd);
    return 0;
}

int sqlite_file_open(struct sqlite_store *store, struct error *err)
{
    if (make_folder(store->file, err) < 0 || take_lock(store, err) < 0)
        return -1;
    /* Created with this mode before SQLite opens it, so that others can never read it; SQLite copies the mode to the
     * WAL. */
    auto_close int fd = open(store->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open store: %s", store->file);
    if (sqlite_connection_open(store->file, false, &store->writer, err) < 0)
        return -1;
    if (check_schema(store, err) < 0)
        return -1;
    return sqlite_flush_open(store, err);
}
