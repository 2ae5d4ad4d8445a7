/* threshold_file: the executable of the threshold, which is part of the launcher, as a file nobody can change. */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope.h"
#include "sandbox/launcher/threshold.h"

extern const char threshold_blob[], threshold_blob_end[];

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3; said aloud, as vm.memfd_noexec=1 makes the others not executable */
#endif

int threshold_open(void)
{
    int made = memfd_create("evalx-threshold", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (made < 0 && errno == EINVAL)
        made = memfd_create("evalx-threshold", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    auto_close int fd = made;
    size_t len = (size_t)(threshold_blob_end - threshold_blob);
    if (fd < 0 || write(fd, threshold_blob, len) != (ssize_t)len || fchmod(fd, 0555) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -1;
    return take_fd(&fd);
}
