/*
 * sandbox: the worker's end of the line to the launcher.
 *
 * The launcher is a static executable embedded in this binary (launcher_blob), started from a memfd with an empty
 * environment and three descriptors: so there is one file to install, it always fits this build, and the process that
 * stays root has none of this process's memory.
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
#include "sandbox/sandbox_internal.h"

#define ANSWER_MS 20000
#define STOP_MS 5000
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

extern const char launcher_blob[], launcher_blob_end[];

static int open_launcher_file(struct error *err)
{
    /* Said aloud: vm.memfd_noexec=1 makes the others not executable.  Linux before 6.3 does not know the flag. */
    auto_close int fd = memfd_create("evalx-launcher", MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("evalx-launcher", MFD_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "memfd for the launcher");
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
    /* First out of the way of 3 and 4, then into place. */
    int high_control = fcntl(control, F_DUPFD_CLOEXEC, 10), high_file = fcntl(file, F_DUPFD_CLOEXEC, 10);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || high_control < 0 ||
        high_file < 0 || dup2(high_control, CONTROL) < 0 || dup3(high_file, FILE_FD, O_CLOEXEC) < 0)
        _exit(126);
    (void)close_range(FILE_FD + 1, ~0u, 0);
    (void)syscall(SYS_execveat, FILE_FD, "", argv, env, AT_EMPTY_PATH);
    _exit(127);
}

/* 0, -1 where the reply tells of a failure, -2 where none came.  *ret_fd: the descriptor that came along, or -1. */
static int receive_reply(int control, struct control_reply *reply, int *ret_fd, struct error *err)
{
    struct pollfd polled = { .fd = control, .events = POLLIN };
    int ready;
    do
        ready = poll(&polled, 1, ANSWER_MS);
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
    char isolate[SANDBOX_PATH_BYTES];
    if (sandbox_backend_find(settings, isolate, err) < 0)
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
    (void)pthread_mutex_init(&sandbox->lock, NULL);
    sandbox->control = pair[0];
    sandbox->denied_syscalls_kill = settings->denied_syscalls_kill;
    sandbox->warm = settings->warm && isolate[0] == '\0';
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
        return error_within(err, "start the sandbox");
    }
    sandbox->cgroup_version = hello.value;
    sandbox->native = isolate[0] == '\0';
    memcpy(sandbox->driver, hello.text, sizeof sandbox->driver);
    *ret = sandbox;
    return 0;
}

/* One question, one answer.  Returns 1 when the launcher says hello instead: it was started again and knows nothing. */
static int ask_once(struct sandbox *sandbox, struct control_request request, int *ret_fd, struct error *err)
{
    request.sequence = ++sandbox->sequence;
    if (packet_send(sandbox->control, &request, sizeof request, NULL, 0) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "the launcher has ended");
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
            return result == 0 ? 0 : -1;
        }
        if (fd >= 0) /* the answer to a question that was put again */
            (void)close(fd);
    }
}

static struct control_request image_request(const char *name)
{
    struct control_request request = { .op = CONTROL_IMAGE };
    (void)snprintf(request.image, sizeof request.image, "%s", name);
    return request;
}

/* After a hello the images are named again and the question is put again.  A launcher that keeps dying is broken. */
static int ask(struct sandbox *sandbox, const struct control_request *request, int *ret_fd, struct error *err)
{
    (void)pthread_mutex_lock(&sandbox->lock);
    int result = ask_once(sandbox, *request, ret_fd, err);
    for (int rounds = 0; rounds < 3 && result == 1; rounds++) {
        atomic_fetch_add(&sandbox->restarts, 1);
        for (size_t i = 0; i < sandbox->images_len; i++)
            if (ask_once(sandbox, image_request(sandbox->images[i]), NULL, err) != 0)
                break; /* the question itself then fails too, with a better text */
        result = ask_once(sandbox, *request, ret_fd, err);
    }
    if (result == 1)
        result = error_set(err, ERROR_SANDBOX, 0, "the launcher keeps dying");
    (void)pthread_mutex_unlock(&sandbox->lock);
    return result;
}

unsigned sandbox_restarts(const struct sandbox *sandbox)
{
    return atomic_load(&sandbox->restarts);
}

int sandbox_image(struct sandbox *sandbox, const char *name, struct error *err)
{
    if (strlen(name) >= CONTROL_IMAGE_BYTES)
        return error_set(err, ERROR_SETUP, 0, "the name of image %s is too long", name);
    struct control_request request = image_request(name);
    if (ask(sandbox, &request, NULL, err) < 0)
        return -1;
    (void)pthread_mutex_lock(&sandbox->lock);
    size_t known = 0;
    while (known < sandbox->images_len && strcmp(sandbox->images[known], name) != 0)
        known++;
    if (known == sandbox->images_len && known < IMAGES_MAX) {
        memcpy(sandbox->images[known], request.image, sizeof request.image);
        sandbox->images_len++;
    }
    (void)pthread_mutex_unlock(&sandbox->lock);
    return 0;
}

int sandbox_open_slot(struct sandbox *sandbox, uint32_t slot, int *ret_socket, struct error *err)
{
    struct control_request request = { .op = CONTROL_SLOT, .slot = slot };
    int fd = -1;
    if (ask(sandbox, &request, &fd, err) < 0)
        return error_within(err, "open slot %" PRIu32, slot);
    if (fd < 0)
        return error_set(err, ERROR_SANDBOX, 0, "the launcher opened slot %" PRIu32 " without a socket", slot);
    *ret_socket = fd;
    return 0;
}

const char *sandbox_cgroup(const struct sandbox *sandbox)
{
    return sandbox->cgroup_version == 2 ? "v2" : sandbox->cgroup_version == 1 ? "v1" : "none";
}

const char *sandbox_backend(const struct sandbox *sandbox)
{
    return sandbox->driver;
}

bool sandbox_is_native(const struct sandbox *sandbox)
{
    return sandbox->native;
}

void sandbox_stop(struct sandbox *sandbox)
{
    if (sandbox == NULL)
        return;
    (void)close(sandbox->control); /* the launcher takes this as the end */
    for (int waited = 0; sandbox->launcher > 0 && waited < STOP_MS; waited += 2) {
        pid_t ended = waitpid(sandbox->launcher, NULL, WNOHANG);
        if (ended != 0 && !(ended < 0 && errno == EINTR))
            break;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    (void)pthread_mutex_destroy(&sandbox->lock);
    free(sandbox);
}
