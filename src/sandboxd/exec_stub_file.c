/* exec_stub_file: the root side's half of exec_stub.h.  The executable is part of the launcher's (exec_stub_blob). */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandboxd/exec_stub.h"

extern const char exec_stub_blob[], exec_stub_blob_end[];

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3.  With vm.memfd_noexec=1 a memfd without it is not executable. */
#endif

int exec_stub_open(void)
{
    int made = memfd_create("evalx-exec-stub", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (made < 0 && errno == EINVAL)
        made = memfd_create("evalx-exec-stub", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    auto_close int fd = made;
    size_t len = (size_t)(exec_stub_blob_end - exec_stub_blob);
    if (fd < 0 || write(fd, exec_stub_blob, len) != (ssize_t)len || fchmod(fd, 0555) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -1;
    return take_fd(&fd);
}

const char *exec_stub_step_name(uint32_t step)
{
    static const char *const names[] = {
        [EXEC_STUB_RECEIVE_REQUEST - EXEC_STUB_STEPS] = "receive the request in the exec stub",
        [EXEC_STUB_STREAMS - EXEC_STUB_STEPS] = "connect the streams",
        [EXEC_STUB_LIMITS - EXEC_STUB_STEPS] = "set the limits",
        [EXEC_STUB_EXECUTE - EXEC_STUB_STEPS] = "execute the program",
    };
    return step < EXEC_STUB_END_ ? names[step - EXEC_STUB_STEPS] : "an unknown step";
}
