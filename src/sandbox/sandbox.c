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

#include "base/scope.h"
#include "sandbox/message.h"
#include "sandbox/sandbox_internal.h"

#define ANSWER_MS 20000
#define STOP_MS 5000

extern const char launcher_blob[], launcher_blob_end[];

static int open_launcher_file(struct error *err)
{
    auto_close int fd = memfd_create("evalx-launcher", MFD_CLOEXEC);
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

static _Noreturn void become_launcher(int file, int control, const struct sandbox_settings *settings)
{
    enum { CONTROL = 3, FILE_FD = 4 };
    char uid_base[24];
    (void)snprintf(uid_base, sizeof uid_base, "%" PRIu64, settings->uid_base);
    const char *const argv[] = { "evalx-launcher", "3", uid_base, settings->insecure_no_cgroup ? "1" : "0",
                                 settings->images_folder, NULL };
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

static int receive_reply(int control, struct control_reply *reply, int *ret_fd, struct error *err)
{
    struct pollfd polled = { .fd = control, .events = POLLIN };
    int ready;
    do
        ready = poll(&polled, 1, ANSWER_MS);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return error_set(err, ERROR_SANDBOX, ready < 0 ? errno : ETIMEDOUT, "the launcher does not answer");
    int fd = -1;
    size_t fds = 0;
    int got = message_receive(control, reply, sizeof *reply, &fd, 1, &fds, 0);
    if (got <= 0)
        return error_set(err, ERROR_SANDBOX, got < 0 ? errno : 0, "the launcher has ended");
    reply->text[sizeof reply->text - 1] = '\0';
    if (reply->os != 0) {
        if (fds > 0)
            (void)close(fd);
        return error_set(err, ERROR_SANDBOX, 0, "%s", reply->text);
    }
    if (ret_fd != NULL)
        *ret_fd = fds > 0 ? fd : -1;
    else if (fds > 0)
        (void)close(fd);
    return 0;
}

int sandbox_start(const struct sandbox_settings *settings, struct sandbox **ret, struct error *err)
{
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
    sandbox->launcher = fork();
    if (sandbox->launcher == 0)
        become_launcher(file, pair[1], settings);
    (void)close(pair[1]);
    if (sandbox->launcher < 0) {
        error_set(err, ERROR_SETUP, errno, "fork the launcher");
        sandbox_stop(sandbox);
        return -1;
    }
    struct control_reply hello;
    if (receive_reply(sandbox->control, &hello, NULL, err) < 0) {
        err->kind = ERROR_SETUP;
        sandbox_stop(sandbox);
        return error_within(err, "start the sandbox");
    }
    sandbox->cgroup_version = hello.value;
    *ret = sandbox;
    return 0;
}

static int ask(struct sandbox *sandbox, const struct control_request *request, int *ret_fd, struct error *err)
{
    struct control_reply reply;
    (void)pthread_mutex_lock(&sandbox->lock);
    int result = message_send(sandbox->control, request, sizeof *request, NULL, 0);
    if (result < 0)
        error_set(err, ERROR_SANDBOX, errno, "the launcher has ended");
    else
        result = receive_reply(sandbox->control, &reply, ret_fd, err);
    (void)pthread_mutex_unlock(&sandbox->lock);
    return result;
}

int sandbox_image(struct sandbox *sandbox, const char *name, struct error *err)
{
    struct control_request request = { .op = CONTROL_IMAGE };
    if (strlen(name) >= sizeof request.image)
        return error_set(err, ERROR_SETUP, 0, "the name of image %s is too long", name);
    (void)snprintf(request.image, sizeof request.image, "%s", name);
    return ask(sandbox, &request, NULL, err);
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
