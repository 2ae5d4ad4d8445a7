/*
 * artifact_file: see the header for the format and the contract.
 *
 * Only the lengths of large artifacts are checked.  Hashing 20 MB at each hit would cost more than reading them, and
 * the lengths already detect what a crash can leave behind, because the rename follows the fsync.
 */
#include "worker/artifact_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MAGIC "EVXARTF1"
#define HASHED_BYTES_MAX (4u << 20)
#define BLOCK_BYTES 4096u

struct header {
    char magic[8];
    uint64_t archive_bytes;
    uint32_t output_bytes;
    uint32_t output_cut;
    uint8_t sum[SHA256_DIGEST_SIZE]; /* of output and archive; zeros if the archive is larger than HASHED_BYTES_MAX */
};
static_assert(sizeof(struct header) == 56, "the header has no padding, so it can be written as it is");

/* "ab/cdef...": 256 folders keep each one short. */
static void path_of(const char *key, char ret_path[ARTIFACT_KEY_BYTES + 1])
{
    assert(strlen(key) == ARTIFACT_KEY_LEN);
    (void)snprintf(ret_path, ARTIFACT_KEY_BYTES + 1, "%.2s/%s", key, key + 2);
}

static int read_fully(int fd, void *at, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(fd, (char *)at + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        done += (size_t)got;
    }
    return 0;
}

static int write_fully(int fd, const void *at, size_t len, struct error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t put = write(fd, (const char *)at + done, len - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set(err, ERROR_SETUP, errno, "write artifact");
        done += (size_t)put;
    }
    return 0;
}

/* The checksum of the output and of the archive's bytes in `fd` from `offset` on.  False if they cannot be read. */
static bool compute_sum(int fd, uint64_t offset, uint64_t archive_bytes, struct text output,
                        uint8_t ret_sum[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx sha;
    uint8_t chunk[16384];

    if (archive_bytes > HASHED_BYTES_MAX) {
        memset(ret_sum, 0, SHA256_DIGEST_SIZE);
        return true;
    }
    sha256_init(&sha);
    sha256_update(&sha, output.len, (const uint8_t *)output.at);
    for (uint64_t done = 0; done < archive_bytes;) {
        size_t len = archive_bytes - done < sizeof chunk ? (size_t)(archive_bytes - done) : sizeof chunk;
        if (read_fully(fd, chunk, len, offset + done) < 0)
            return false;
        sha256_update(&sha, len, chunk);
        done += len;
    }
    sha256_digest(&sha, SHA256_DIGEST_SIZE, ret_sum);
    return true;
}

int artifact_copy_bytes(int to_fd, int from_fd, uint64_t offset, uint64_t size, struct error *err)
{
    off_t at = (off_t)offset;

    for (uint64_t left = size; left > 0;) {
        ssize_t sent = sendfile(to_fd, from_fd, &at, left < (1u << 30) ? (size_t)left : (1u << 30));
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return error_set(err, ERROR_SETUP, errno, "copy artifact");
        if (sent == 0)
            return error_set(err, ERROR_SETUP, 0, "copy artifact: the source is too short");
        left -= (uint64_t)sent;
    }
    return 0;
}

int artifact_memfd_copy(int from_fd, uint64_t offset, uint64_t size, int *ret_fd, struct error *err)
{
    auto_close int fd = memfd_create("artifact", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "create a memfd for an artifact");
    if (artifact_copy_bytes(fd, from_fd, offset, size, err) < 0)
        return -1;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
        lseek(fd, 0, SEEK_SET) < 0)
        return error_set(err, ERROR_SETUP, errno, "seal artifact");
    *ret_fd = take_fd(&fd);
    return 0;
}

/* Checks the header, the size and the checksum.  Fills *output. */
static bool file_is_whole(int fd, struct header *header, struct buf *output)
{
    struct stat status;
    struct error ignored;
    uint8_t sum[SHA256_DIGEST_SIZE];

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || read_fully(fd, header, sizeof *header, 0) < 0)
        return false;
    if (memcmp(header->magic, MAGIC, sizeof header->magic) != 0 || header->output_bytes > ARTIFACT_OUTPUT_BYTES_MAX ||
        header->archive_bytes > INT64_MAX / 2 ||
        (uint64_t)status.st_size != sizeof *header + header->output_bytes + header->archive_bytes)
        return false;
    if (header->output_bytes > 0) {
        if (buf_reserve(output, header->output_bytes, &ignored) < 0 ||
            read_fully(fd, output->at + output->len, header->output_bytes, sizeof *header) < 0)
            return false;
        output->len += header->output_bytes;
        output->at[output->len] = '\0';
    }
    return compute_sum(fd, sizeof *header + header->output_bytes, header->archive_bytes, buf_text(output), sum) &&
           memcmp(sum, header->sum, sizeof sum) == 0;
}

/* artifact_file_load for an open file in this format. */
static int read_artifact(int fd, int *ret_archive_fd, struct buf *output, bool *ret_output_cut, struct error *err)
{
    struct header header;

    if (!file_is_whole(fd, &header, output)) {
        buf_clear(output);
        return 0;
    }
    if (artifact_memfd_copy(fd, sizeof header + header.output_bytes, header.archive_bytes, ret_archive_fd, err) < 0) {
        buf_clear(output);
        return -1;
    }
    *ret_output_cut = header.output_cut != 0;
    return 1;
}

int artifact_file_load(int folder_fd, const char *key, int *ret_archive_fd, struct buf *output, bool *ret_output_cut,
                       struct error *err)
{
    char path[ARTIFACT_KEY_BYTES + 1];

    path_of(key, path);
    auto_close int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set(err, ERROR_SETUP, errno, "open artifact %.8s", key);
    assert(output->len == 0);
    int found = read_artifact(fd, ret_archive_fd, output, ret_output_cut, err);
    if (found == 0)
        (void)unlinkat(folder_fd, path, 0);
    else if (found > 0)
        (void)futimens(fd, NULL); /* without it, the artifact is evicted a little earlier */
    return found;
}

void artifact_file_touch(int folder_fd, const char *key)
{
    char path[ARTIFACT_KEY_BYTES + 1];

    path_of(key, path);
    (void)utimensat(folder_fd, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static int write_artifact(int fd, int archive_fd, uint64_t archive_bytes, struct text output, bool output_cut,
                          struct error *err)
{
    struct header header = { .archive_bytes = archive_bytes,
                             .output_bytes = (uint32_t)output.len,
                             .output_cut = output_cut };

    memcpy(header.magic, MAGIC, sizeof header.magic);
    if (!compute_sum(archive_fd, 0, archive_bytes, output, header.sum))
        return error_set(err, ERROR_SETUP, 0, "read an archive");
    if (write_fully(fd, &header, sizeof header, err) < 0 || write_fully(fd, output.at, output.len, err) < 0 ||
        artifact_copy_bytes(fd, archive_fd, 0, archive_bytes, err) < 0)
        return -1;
    return fsync(fd) < 0 ? error_set(err, ERROR_SETUP, errno, "flush artifact") : 0;
}

int artifact_file_store(int folder_fd, const char *key, int archive_fd, struct text output, bool output_cut,
                        uint64_t *ret_bytes, struct error *err)
{
    static _Atomic unsigned stored; /* makes names unique: two threads may store at once */
    char path[ARTIFACT_KEY_BYTES + 1], temporary[64], group[3] = { key[0], key[1], '\0' };
    struct stat status;

    assert(output.len <= ARTIFACT_OUTPUT_BYTES_MAX);
    path_of(key, path);
    if (fstat(archive_fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "stat an archive");
    if (mkdirat(folder_fd, group, 0700) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SETUP, errno, "create artifact folder");
    (void)snprintf(temporary, sizeof temporary, "%s/" ARTIFACT_TEMPORARY "%d-%u", group, (int)getpid(),
                   atomic_fetch_add(&stored, 1));
    auto_close int fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "create artifact file");
    if (write_artifact(fd, archive_fd, (uint64_t)status.st_size, output, output_cut, err) < 0)
        goto undo;
    if (renameat(folder_fd, temporary, folder_fd, path) < 0) {
        (void)error_set(err, ERROR_SETUP, errno, "rename artifact");
        goto undo;
    }
    uint64_t bytes = sizeof(struct header) + output.len + (uint64_t)status.st_size;
    *ret_bytes = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    return 0;

undo:
    (void)unlinkat(folder_fd, temporary, 0);
    return -1;
}

int artifact_file_pack(int archive_fd, struct text output, bool output_cut, struct buf *ret, struct error *err)
{
    struct stat status;
    auto_close int fd = memfd_create("packed", MFD_CLOEXEC);
    if (fd < 0 || fstat(archive_fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "create a memfd for an artifact");
    size_t size = sizeof(struct header) + output.len + (size_t)status.st_size;
    if (buf_reserve(ret, size, err) < 0 ||
        write_artifact(fd, archive_fd, (uint64_t)status.st_size, output, output_cut, err) < 0)
        return -1;
    if (read_fully(fd, ret->at + ret->len, size, 0) < 0)
        return error_set(err, ERROR_SETUP, 0, "read a packed artifact");
    ret->len += size;
    ret->at[ret->len] = '\0';
    return 0;
}

int artifact_file_unpack(struct text bytes, int *ret_archive_fd, struct buf *output, bool *ret_output_cut,
                         struct error *err)
{
    auto_close int fd = memfd_create("packed", MFD_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "create a memfd for an artifact");
    if (write_fully(fd, bytes.at, bytes.len, err) < 0)
        return -1;
    return read_artifact(fd, ret_archive_fd, output, ret_output_cut, err);
}
