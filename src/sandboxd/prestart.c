/* prestart: see the header. */
#include "sandboxd/prestart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandboxd/init_process.h"

void prestart_spec_of(const struct slot_request *request, struct prestart_spec *ret)
{
    memset(ret, 0, sizeof *ret);
    if ((request->flags & SLOT_MAY_PRESTART) == 0 || request->strings_len > sizeof ret->strings)
        return;
    ret->is_set = true;
    ret->limits = request->limits;
    ret->limits.wall_us = 0;      /* enforced by the slot, from the time of the request */
    ret->limits.output_bytes = 0; /* enforced by the worker */
    ret->words = request->words;
    ret->variables = request->variables;
    ret->strings_len = request->strings_len;
    memcpy(ret->source, request->source, strnlen(request->source, sizeof ret->source - 1));
    memcpy(ret->strings, request->strings, request->strings_len);
}

bool prestart_spec_equal(const struct prestart_spec *a, const struct prestart_spec *b)
{
    return a->is_set && b->is_set && a->words == b->words && a->variables == b->variables &&
           a->strings_len == b->strings_len && limits_equal(&a->limits, &b->limits) &&
           memcmp(a->source, b->source, sizeof a->source) == 0 && memcmp(a->strings, b->strings, a->strings_len) == 0;
}

/* As the worker's pipes: it reads without blocking, and the program owns the other end, which is write-only. */
static int open_pipe(uid_t uid, int *ret_read, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    *ret_read = ends[0];
    *ret_write = ends[1];
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || fchmod(ends[1], S_IWUSR) < 0 || fchown(ends[1], uid, uid) < 0)
        return -1;
    return 0;
}

/* A memfd for the program, opened a second time for us so that our writes do not move the program's position. */
static int open_input(int *ret_program, int *ret_own)
{
    char path[32];
    *ret_program = memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", *ret_program);
    *ret_own = *ret_program < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
    return *ret_own < 0 ? -1 : 0;
}

int prestart_start(const struct standby *standby, const struct prestart_spec *spec, bool no_cgroup,
                   struct prestart *ret)
{
    static struct exec_request request;
    auto_close int input = -1, output = -1, errors = -1;
    *ret = (struct prestart){ .spec = *spec, .input = -1, .output = -1, .errors = -1 };
    request.limits = spec->limits;
    request.flags = EXEC_PRESTART | (no_cgroup ? EXEC_NO_CGROUP : 0);
    request.words = spec->words;
    request.variables = spec->variables;
    request.strings_len = spec->strings_len;
    memcpy(request.source, spec->source, sizeof request.source);
    memcpy(request.strings, spec->strings, spec->strings_len);
    if (open_input(&input, &ret->input) == 0 && open_pipe(standby->uid, &ret->output, &output) == 0 &&
        open_pipe(standby->uid, &ret->errors, &errors) == 0) {
        const int fds[] = { input, output, errors };
        size_t len = EXEC_REQUEST_HEAD_BYTES + request.strings_len;
        if (packet_send(standby->request_socket, &request, len, fds, 3) == 0)
            return 0;
    }
    int os = errno;
    prestart_close(ret);
    errno = os;
    return -1;
}

static int copy_input(int from, int to)
{
    struct stat st;
    off_t at = 0;
    if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    while (at < st.st_size) {
        ssize_t sent = sendfile(to, from, &at, (size_t)(st.st_size - at));
        if (sent <= 0 && !(sent < 0 && errno == EINTR))
            return -1;
    }
    return fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

int prestart_feed(struct prestart *prestart, const struct prestart_feed *feed)
{
    const struct slot_reply streams = { .op = SLOT_STREAMS, .run = feed->request->run };
    const struct exec_request request = { .flags = EXEC_FEED | SLOT_HAS_ARCHIVE, .limits = feed->request->limits };
    const int ends[] = { prestart->output, prestart->errors };
    if (copy_input(feed->input, prestart->input) < 0 ||
        packet_send(feed->worker, &streams, sizeof streams, ends, 2) < 0)
        return -1;
    return packet_send(feed->request_socket, &request, EXEC_REQUEST_HEAD_BYTES, &feed->archive, 1);
}

void prestart_close(struct prestart *prestart)
{
    int *const fds[] = { &prestart->input, &prestart->output, &prestart->errors };
    for (size_t i = 0; prestart->spec.is_set && i < sizeof fds / sizeof *fds; i++) {
        cleanup_close(fds[i]);
        *fds[i] = -1;
    }
    prestart->spec.is_set = false;
}
