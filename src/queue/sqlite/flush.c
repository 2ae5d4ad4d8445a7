/*
 * sqlite_flush: what was woken is on the disk before anybody is told.
 *
 * A commit with synchronous=NORMAL is written to the write-ahead log (WAL) but not flushed: it survives this process,
 * and a power cut once the log is flushed.  We flush the log ourselves, after the commit and beside the next one, so
 * that a claimer can begin with a submission while its add is on the way to the disk, and one flush serves all commits
 * before it.
 *
 * Commits that promise something are numbered.  A number is *begun* before its COMMIT, so that whoever reads the
 * rows of that commit finds it begun; *made* after it, so that a flush knows what it covers; *kept* after the flush.
 * Who needs a number kept either flushes or waits for the one that flushes; there is no thread for it.
 *
 * After a flush that failed the kernel has forgotten which pages it could not write, so a later one says nothing of
 * them (and SQLite itself would not notice).  From then on nothing is woken any more until evalx is started again.
 */
#include "queue/sqlite/sqlite_store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"

int sqlite_flush_open(struct sqlite_store *store, struct error *err)
{
    char path[sizeof store->file + 8];
    (void)snprintf(path, sizeof path, "%s-wal", store->file);
    /* It is there since the schema was read, and stays the same file for as long as the writer is open. */
    auto_close int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open store: %s", path);
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        slash[slash == path ? 1 : 0] = '\0';
    auto_close int folder_fd = open(slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0 || fsync(folder_fd) < 0) /* the names of the files */
        return error_set(err, ERROR_SETUP, errno, "open store: flush the folder of %s", store->file);
    store->wal_fd = take_fd(&fd);
    return 0;
}

uint64_t sqlite_commit_started(struct sqlite_store *store)
{
    (void)pthread_mutex_lock(&store->flush_lock);
    uint64_t number = ++store->commit_started;
    (void)pthread_mutex_unlock(&store->flush_lock);
    return number;
}

void sqlite_commit_written(struct sqlite_store *store, uint64_t number)
{
    (void)pthread_mutex_lock(&store->flush_lock);
    assert(number == store->commit_written + 1 && number <= store->commit_started);
    store->commit_written = number;
    if (store->flush_waiters > 0)
        (void)pthread_cond_broadcast(&store->flushed);
    (void)pthread_mutex_unlock(&store->flush_lock);
}

/* With flush_lock held, which it lets go of meanwhile. */
static void flush_now(struct sqlite_store *store)
{
    uint64_t covered = store->commit_written;
    store->is_flushing = true;
    (void)pthread_mutex_unlock(&store->flush_lock);
    int failed = fdatasync(store->wal_fd);
    int os = errno;
    (void)pthread_mutex_lock(&store->flush_lock);
    store->is_flushing = false;
    if (failed < 0)
        store->flush_os = os;
    else
        store->commit_durable = covered;
    if (store->flush_waiters > 0)
        (void)pthread_cond_broadcast(&store->flushed);
}

int sqlite_flush_commit(struct sqlite_store *store, uint64_t number, struct error *err)
{
    (void)pthread_mutex_lock(&store->flush_lock);
    while (store->commit_durable < number && store->flush_os == 0) {
        if (!store->is_flushing && store->commit_written > store->commit_durable) {
            flush_now(store);
            continue;
        }
        store->flush_waiters++;
        (void)pthread_cond_wait(&store->flushed, &store->flush_lock);
        store->flush_waiters--;
    }
    bool kept = store->commit_durable >= number;
    int os = store->flush_os;
    (void)pthread_mutex_unlock(&store->flush_lock);
    if (kept)
        return 0;
    return error_set(err, ERROR_STORE, os, "%s could not be flushed; nothing is accepted until evalx is started again",
                     store->file);
}

int sqlite_flush_all(struct sqlite_store *store, struct error *err)
{
    (void)pthread_mutex_lock(&store->flush_lock);
    uint64_t number = store->commit_started;
    bool kept = store->commit_durable >= number;
    (void)pthread_mutex_unlock(&store->flush_lock);
    return kept ? 0 : sqlite_flush_commit(store, number, err);
}
