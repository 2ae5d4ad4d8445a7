/*
 * sqlite/flush: makes commits durable before their callers return.
 *
 * A commit with synchronous=NORMAL is written to the write-ahead log (WAL) but not flushed.  It survives a crash of
 * this process, and a power cut once the log is flushed.  This file flushes the log itself, after the commit and while
 * the next one runs.  So a claimer can start a submission while its add is on the way to the disk, and one flush serves
 * all commits before it.
 *
 * Commits that must be durable are numbered.  A number is *started* before its COMMIT, so that whoever reads the rows
 * of that commit sees its number as started.  It is *committed* after the COMMIT, so that a flush knows which commits
 * it covers, and *durable* after the flush.  A caller that needs a durable commit flushes or waits for the caller that
 * flushes; no thread exists just for flushing.
 *
 * After a failed flush the kernel has forgotten which pages it could not write, so a later successful flush proves
 * nothing about them, and SQLite itself would not notice.  From then on nothing is accepted until evalx is restarted.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sync.h"

int sqlite_flush_open(struct sqlite_store *store, struct error *err)
{
    char path[sizeof store->file + 8];
    (void)snprintf(path, sizeof path, "%s-wal", store->file);
    /* It exists since the schema was read, and stays the same file while the writer is open. */
    auto_close int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open store: %s", path);
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        slash[slash == path ? 1 : 0] = '\0';
    auto_close int folder_fd = open(slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0 || fsync(folder_fd) < 0) /* makes the directory entries durable */
        return error_set(err, ERROR_SETUP, errno, "open store: flush the folder of %s", store->file);
    store->wal_fd = take_fd(&fd);
    return 0;
}

uint64_t sqlite_commit_begin(struct sqlite_store *store)
{
    lock_guard(&store->flush_lock);
    return ++store->last_started;
}

void sqlite_commit_end(struct sqlite_store *store, uint64_t number)
{
    lock_guard(&store->flush_lock);
    assert(number == store->last_committed + 1 && number <= store->last_started);
    store->last_committed = number;
    if (store->flush_waiters > 0)
        cond_broadcast(&store->flushed);
}

/* With flush_lock held, which it releases during the flush. */
static void flush_now(struct sqlite_store *store)
{
    uint64_t covered = store->last_committed;
    store->is_flushing = true;
    mutex_unlock(&store->flush_lock);
    int failed = fdatasync(store->wal_fd);
    int os = errno;
    mutex_lock(&store->flush_lock);
    store->is_flushing = false;
    if (failed < 0)
        store->flush_os = os;
    else
        store->last_durable = covered;
    if (store->flush_waiters > 0)
        cond_broadcast(&store->flushed);
}

int sqlite_wait_durable(struct sqlite_store *store, uint64_t number, struct error *err)
{
    lock_guard(&store->flush_lock);
    while (store->last_durable < number && store->flush_os == 0) {
        if (!store->is_flushing && store->last_committed > store->last_durable) {
            flush_now(store);
            continue;
        }
        store->flush_waiters++;
        cond_wait(&store->flushed, &store->flush_lock);
        store->flush_waiters--;
    }
    if (store->last_durable >= number)
        return 0;
    return error_set(err, ERROR_STORE, store->flush_os,
                     "%s could not be flushed; nothing is accepted until evalx is restarted", store->file);
}

int sqlite_wait_all_durable(struct sqlite_store *store, struct error *err)
{
    mutex_lock(&store->flush_lock);
    uint64_t number = store->last_started;
    mutex_unlock(&store->flush_lock);
    return sqlite_wait_durable(store, number, err);
}
