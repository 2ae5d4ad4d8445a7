/* artifact_budget: see the header.  An archive is identified by its inode, which cannot be reused while it is held. */
#include "worker/artifact_budget.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "worker/artifact_file.h"

#define FILE_NAME ".artifact-%d-%u"

struct artifact_hold {
    struct artifact_hold *next;
    dev_t device;
    ino_t inode;
    uint64_t bytes;
    bool on_disk;
    uint32_t users;
};

void artifact_budget_open(struct artifact_budget *budget, const char *folder)
{
    budget->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void artifact_budget_close(struct artifact_budget *budget)
{
    assert(budget->first == NULL);
    cleanup_close(&budget->folder_fd);
    budget->folder_fd = -1;
}

static bool has_room(uint64_t taken, uint64_t bytes, uint64_t max)
{
    uint64_t most = bytes <= ARTIFACT_SMALL_BYTES ? max : max / 4 * 3;

    return taken <= most && bytes <= most - taken;
}

static struct artifact_hold **find(struct artifact_budget *budget, const struct stat *status)
{
    struct artifact_hold **at = &budget->first;

    while (*at != NULL && ((*at)->inode != status->st_ino || (*at)->device != status->st_dev))
        at = &(*at)->next;
    return at;
}

static void add(struct artifact_budget *budget, const struct stat *status, bool on_disk, uint64_t bytes)
{
    struct artifact_hold *hold = calloc(1, sizeof *hold);

    if (hold == NULL)
        abort(); /* a small fixed size; the leases expire and other workers take over */
    *hold = (struct artifact_hold){ .next = budget->first,
                                    .device = status->st_dev,
                                    .inode = status->st_ino,
                                    .bytes = bytes,
                                    .on_disk = on_disk,
                                    .users = 1 };
    budget->first = hold;
}

enum artifact_room artifact_budget_take(struct artifact_budget *budget, int archive_fd, uint64_t *ret_bytes)
{
    struct stat status;

    *ret_bytes = 0;
    if (fstat(archive_fd, &status) < 0)
        return ARTIFACT_NO_ROOM;
    *ret_bytes = (uint64_t)status.st_blocks * 512;
    struct artifact_hold *hold = *find(budget, &status);
    if (hold != NULL) {
        hold->users++;
        *ret_bytes = hold->bytes;
        return ARTIFACT_FITS;
    }
    if (has_room(budget->memory, *ret_bytes, budget->memory_max)) {
        budget->memory += *ret_bytes;
        add(budget, &status, false, *ret_bytes);
        return ARTIFACT_FITS;
    }
    if (budget->folder_fd < 0 || !has_room(budget->disk, *ret_bytes, budget->disk_max))
        return ARTIFACT_NO_ROOM;
    budget->disk += *ret_bytes;
    return ARTIFACT_SPILL;
}

void artifact_budget_spilled(struct artifact_budget *budget, int file_fd, uint64_t bytes)
{
    struct stat status;

    if (file_fd >= 0 && fstat(file_fd, &status) == 0)
        add(budget, &status, true, bytes);
    else
        budget->disk -= bytes;
}

void artifact_budget_drop(struct artifact_budget *budget, int archive_fd)
{
    struct stat status;

    if (archive_fd < 0 || fstat(archive_fd, &status) < 0)
        return;
    struct artifact_hold **at = find(budget, &status), *hold = *at;
    if (hold == NULL || --hold->users > 0)
        return;
    if (hold->on_disk)
        budget->disk -= hold->bytes;
    else
        budget->memory -= hold->bytes;
    *at = hold->next;
    free(hold);
}

int artifact_spill(const struct artifact_budget *budget, int archive_fd, int *ret_file_fd, struct error *err)
{
    static _Atomic unsigned spilled; /* makes names unique: two threads may spill at once */
    char name[64];
    struct stat status;

    (void)snprintf(name, sizeof name, FILE_NAME, (int)getpid(), atomic_fetch_add(&spilled, 1));
    auto_close int to = openat(budget->folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0 || fstat(archive_fd, &status) < 0)
        return error_set(err, ERROR_BUSY, errno, "move an artifact to the disk");
    auto_close int from = openat(budget->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool is_unlinked = unlinkat(budget->folder_fd, name, 0) == 0;
    if (from < 0 || !is_unlinked)
        return error_set(err, ERROR_BUSY, errno, "move an artifact to the disk");
    if (artifact_copy_bytes(to, archive_fd, 0, (uint64_t)status.st_size, err) < 0) {
        err->kind = ERROR_BUSY;
        return -1;
    }
    *ret_file_fd = take_fd(&from);
    return 0;
}
