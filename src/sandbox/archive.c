/* archive: writes sources to a sealed memfd.  archive_unpack.c has the functions that the root side shares. */
#include "sandbox/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

static int write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t wrote = write(fd, at, len);
        if (wrote < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        at += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

int archive_of_files(const struct file *files, size_t len, int *ret_fd, struct error *err)
{
    if (len > ARCHIVE_FILES_MAX)
        return error_set(err, ERROR_REQUEST, 0, "%zu files: a box takes at most %d", len, ARCHIVE_FILES_MAX);
    auto_close int fd = memfd_create("archive", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, errno, "create the archive");
    if (write_all(fd, ARCHIVE_MAGIC, sizeof ARCHIVE_MAGIC - 1) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "write the archive");

    for (size_t i = 0; i < len; i++) {
        if (files[i].name.len == 0 || files[i].name.len > ARCHIVE_NAME_MAX)
            return error_set(err, ERROR_REQUEST, 0, "file %zu has a name of %zu bytes", i, files[i].name.len);
        struct archive_entry entry = { .name_len = (uint32_t)files[i].name.len,
                                       .mode = 0644,
                                       .size = files[i].content.len };
        if (write_all(fd, &entry, sizeof entry) < 0 || write_all(fd, files[i].name.at, files[i].name.len) < 0 ||
            write_all(fd, files[i].content.at, files[i].content.len) < 0)
            return error_set(err, ERROR_SANDBOX, errno, "write the archive");
    }
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "seal the archive");
    *ret_fd = take_fd(&fd);
    return 0;
}
