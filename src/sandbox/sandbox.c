/*
 * sandbox: starts the launcher and sends it requests over the control socket.
 *
 * The launcher is a static executable embedded in this binary (launcher_blob).  It is executed from a memfd with an
 * empty environment; besides its standard streams it gets only the control socket.  So there is one file to install,
 * the launcher always fits this build, and the process that stays root holds none of this process's memory.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "base/sync.h"
#include "sandbox/sandbox_internal.h"

#define PATH_BYTES 4096
#define REPLY_MS 20000
#define STOP_MS 5000
#define LAUNCHERS_MAX 32 /* launchers that may have died since the last request, or die during one */
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

extern const char launcher_blob[], launcher_blob_end[];

/* ---- start ---- */

/* Skips empty and relative parts of PATH: nothing is installed in the current folder. */
static int find_on_path(const char *command, char ret_path[PATH_BYTES])
{
    const char *part = getenv("PATH");
    if (part == NULL)
        part = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
    for (const char *end; part != NULL; part = end != NULL ? end + 1 : NULL) {
        end = strchr(part, ':');
        size_t len = end != NULL ? (size_t)(end - part) : strlen(part);
        if (len == 0 || part[0] != '/' || len + 1 + strlen(command) >= PATH_BYTES)
            continue;
        (void)snprintf(ret_path, PATH_BYTES, "%.*s/%s", (int)len, part, command);
        if (access(ret_path, X_OK) == 0)
            return 0;
    }
    return -1;
}

/*
 * The path of the isolate command, or "" for the native backend.  It is searched here and not in the launcher, because
 * the launcher's environment is empty.
 */
static int find_isolate(const struct sandbox_settings *settings, char ret_path[PATH_BYTES], struct error *err)
{
    const char *isolate = settings->isolate;

    ret_path[0] = '\0';
    if (settings->backend == NULL || strcmp(settings->backend, "native") == 0)
        return 0;
    if (strcmp(settings->backend, "isolate") != 0)
        return error_set(err, ERROR_SETUP, 0, "unknown sandbox_backend %s: expected native or isolate",
                         settings->backend);
    if (settings->denied_syscalls_kill)
        return error_set(err, ERROR_SETUP, 0,
                         "denied_syscalls=kill needs the native backend: isolate can only return EPERM");
    if (isolate == NULL || isolate[0] == '\0')
        return find_on_path("isolate", ret_path) == 0
                   ? 0
                   : error_set(
                         err, ERROR_SETUP, 0,
                         "sandbox_backend isolate: no isolate on PATH (install isolate 2.x, or set EVALX_ISOLATE)");
    if (isolate[0] != '/' || strlen(isolate) >= PATH_BYTES)
        return error_set(err, ERROR_SETUP, 0, "EVALX_ISOLATE must be an absolute path");
    (void)snprintf(ret_path, PATH_BYTES, "%s", isolate);
    return 0;
}

static int open_launcher_file(struct error *err)
{
    /* With vm.memfd_noexec=1 only MFD_EXEC makes a memfd executable.  Linux before 6.3 does not know the flag. */
    auto_close int fd = memfd_create("evalx-launcher", MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("evalx-launcher", MFD_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "create a memfd for the launcher");
    size_t len = (size_t)(launcher_blob_end - launcher_blob);
    for (size_t at = 0; at < len;) {
        ssize_t wrote = write(fd, launcher_blob + at, len - at);
        if (wrote < 0)
            return error_set(err, ERROR_SETUP, errno, "write the launcher");
        at += (size_t)wrote;
    }
    return take_fd(&fd);
}

static _Noreturn void become_launcher(int file, int control, const struct sandbox_settings *settings,
                                      const char *isolate)
{
    enum { CONTROL = 3, FILE_FD = 4 };
    char uid_base[24];
    (void)snprintf(uid_base, sizeof uid_base, "%" PRIu64, settings->uid_base);
    const char *const argv[] = { "evalx-launcher",
                                 "3",
                                 uid_base,
                                 settings->insecure_no_cgroup ? "1" : "0",
                                 settings->images_folder,
                                 isolate,
                                 settings->pin ? "1" : "0",
                                 NULL };
    const char *const env[] = { NULL };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Duplicate them above 3 and 4 first, so that neither overwrites the other. */
    int high_control = fcntl(control, F_DUPFD_CLOEXEC, 10), high_file = fcntl(file, F_DUPFD_CLOEXEC, 10);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || high_control < 0 ||
        high_file < 0 || dup2(high_control, CONTROL) < 0 || dup3(high_file, FILE_FD, O_CLOEXEC) < 0)
        _exit(126);
    (void)close_range(FILE_FD + 1, ~0u, 0);
    (void)syscall(SYS_execveat, FILE_FD, "", argv, env, AT_EMPTY_PATH);
    _exit(127);
}

/* 0; -1 if the reply reports a failure; -2 if none arrived.  *ret_fd is the descriptor sent along, or -1. */
static int receive_reply(int control, struct control_reply *reply, int *ret_fd, struct error *err)
{
    struct pollfd polled = { .fd = control, .events = POLLIN };
    int ready;
    do
        ready = poll(&polled, 1, REPLY_MS);
    while (ready < 0 && errno == EINTR);
    *ret_fd = -1;
    memset(reply, 0, sizeof *reply);
    if (ready <= 0) {
        error_set(err, ERROR_SANDBOX, ready < 0 ? errno : ETIMEDOUT, "the launcher does not answer");
        return -2;
    }
    size_t fds = 0;
    int got = packet_receive(control, reply, sizeof *reply, ret_fd, 1, &fds, 0);
    if (got <= 0) {
        error_set(err, ERROR_SANDBOX, got < 0 ? errno : 0, "the launcher has ended");
        return -2;
    }
    reply->text[sizeof reply->text - 1] = '\0';
    return reply->os == 0 ? 0 : error_set(err, ERROR_SANDBOX, 0, "%s", reply->text);
}

int sandbox_start(const struct sandbox_settings *settings, struct sandbox **ret, struct error *err)
{
    char isolate[PATH_BYTES];
    if (find_isolate(settings, isolate, err) < 0)
        return -1;
    auto_close int file = open_launcher_file(err);
    if (file < 0)
        return -1;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(err, ERROR_SETUP, errno, "socketpair for the launcher");
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (sandbox == NULL) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        return error_set(err, ERROR_SETUP, ENOMEM, "start sandbox");
    }
    mutex_init(&sandbox->lock);
    sandbox->control = pair[0];
    sandbox->images_known = true;
    sandbox->denied_syscalls_kill = settings->denied_syscalls_kill;
    sandbox->prestart = settings->prestart && isolate[0] == '\0';
    sandbox->launcher = fork();
    if (sandbox->launcher == 0)
        become_launcher(file, pair[1], settings, isolate);
    (void)close(pair[1]);
    if (sandbox->launcher < 0) {
        error_set(err, ERROR_SETUP, errno, "fork the launcher");
        sandbox_stop(sandbox);
        return -1;
    }
    struct control_reply hello;
    int none;
    if (receive_reply(sandbox->control, &hello, &none, err) < 0) {
        err->kind = ERROR_SETUP;
        sandbox_stop(sandbox);
        return -1;
    }
    sandbox->cgroup_version = hello.value;
    sandbox->is_native = isolate[0] == '\0';
    memcpy(sandbox->backend, hello.text, sizeof sandbox->backend);
    *ret = sandbox;
    return 0;
}

/* ---- requests ---- */

/*
 * Sends one request and waits for its reply.  Returns as receive_reply does, but 1 if a HELLO arrives instead: the
 * launcher was restarted and has forgotten all earlier requests.
 */
static int request_once(struct sandbox *sandbox, struct control_request request, int *ret_fd, struct error *err)
{
    request.sequence = ++sandbox->sequence;
    if (packet_send(sandbox->control, &request, sizeof request, NULL, 0) < 0) {
        error_set(err, ERROR_SANDBOX, errno, "the launcher has ended");
        return -2;
    }
    for (;;) {
        struct control_reply reply;
        int fd = -1;
        int result = receive_reply(sandbox->control, &reply, &fd, err);
        if (result == 0 && reply.op == CONTROL_HELLO)
            return 1;
        if (reply.sequence == request.sequence || result == -2) {
            if (ret_fd != NULL)
                *ret_fd = fd;
            else if (fd >= 0)
                (void)close(fd);
            return result;
        }
        if (fd >= 0) /* the reply to a request that has been repeated since */
            (void)close(fd);
    }
}

static struct control_request image_request(const char *name)
{
    struct control_request request = { .op = CONTROL_IMAGE };
    (void)snprintf(request.image, sizeof request.image, "%s", name);
    return request;
}

/*
 * Names all images to the launcher, unless that was done.  As request_once, but one that the launcher refuses is left
 * out: only the runs in that image fail.
 */
static int name_images(struct sandbox *sandbox, struct error *err)
{
    int result = 0;
    for (size_t i = 0; i < sandbox->images_len && result == 0 && !sandbox->images_known; i++) {
        result = request_once(sandbox, image_request(sandbox->images[i]), NULL, err);
        if (result == -1)
            result = 0;
    }
    sandbox->images_known = result == 0;
    return result;
}

/*
 * 0 or -1.  Each HELLO is of another launcher, which knows no image: several may wait here if launchers died while
 * nothing was asked of them.  So the images are named again until a whole round meets no HELLO.
 */
static int send_request(struct sandbox *sandbox, const struct control_request *request, int *ret_fd, struct error *err)
{
    lock_guard(&sandbox->lock);
    for (int round = 0; round < LAUNCHERS_MAX; round++) {
        int result = name_images(sandbox, err);
        if (result == 0)
            result = request_once(sandbox, *request, ret_fd, err);
        if (result <= 0)
            return result < 0 ? -1 : 0;
        sandbox->images_known = false;
        atomic_fetch_add(&sandbox->restarts, 1);
    }
    return error_set(err, ERROR_SANDBOX, 0, "the launcher keeps dying");
}

unsigned sandbox_restarts(const struct sandbox *sandbox)
{
    return atomic_load(&sandbox->restarts);
}

int sandbox_image(struct sandbox *sandbox, const char *name, struct error *err)
{
    if (strlen(name) >= CONTROL_IMAGE_BYTES)
        return error_set(err, ERROR_SETUP, 0, "image name %s is too long", name);
    struct control_request request = image_request(name);
    if (send_request(sandbox, &request, NULL, err) < 0)
        return -1;
    lock_guard(&sandbox->lock);
    for (size_t i = 0; i < sandbox->images_len; i++)
        if (strcmp(sandbox->images[i], name) == 0)
            return 0;
    if (sandbox->images_len < IMAGES_MAX)
        memcpy(sandbox->images[sandbox->images_len++], request.image, sizeof request.image);
    return 0;
}

int sandbox_request_slot(struct sandbox *sandbox, uint32_t slot_number, int *ret_socket, struct error *err)
{
    struct control_request request = { .op = CONTROL_SLOT, .slot = slot_number };
    int fd = -1;
    if (send_request(sandbox, &request, &fd, err) < 0)
        return error_within(err, "open slot %" PRIu32, slot_number);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, 0, "the launcher opened slot %" PRIu32 " without a socket", slot_number);
    *ret_socket = fd;
    return 0;
}

const char *sandbox_cgroup(const struct sandbox *sandbox)
{
    return sandbox->cgroup_version == 2 ? "v2" : sandbox->cgroup_version == 1 ? "v1" : "none";
}

const char *sandbox_backend(const struct sandbox *sandbox)
{
    return sandbox->backend;
}

bool sandbox_is_native(const struct sandbox *sandbox)
{
    return sandbox->is_native;
}

bool sandbox_is_gone(const struct sandbox *sandbox)
{
    struct pollfd polled = { .fd = sandbox->control, .events = POLLRDHUP };

    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

void sandbox_stop(struct sandbox *sandbox)
{
    if (sandbox == NULL)
        return;
    (void)close(sandbox->control); /* this makes the launcher exit */
    for (int waited = 0; sandbox->launcher > 0 && waited < STOP_MS; waited += 2) {
        pid_t ended = waitpid(sandbox->launcher, NULL, WNOHANG);
        if (ended != 0 && !(ended < 0 && errno == EINTR))
            break;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    (void)pthread_mutex_destroy(&sandbox->lock);
    free(sandbox);
}
