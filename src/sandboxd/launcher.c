/*
 * launcher: adds images, opens slots (a process each, see slot.c), replaces broken ones, and kills them all when the
 * worker is gone.  A new launcher (supervisor.c) needs none of its state: the worker names its images and slots again.
 */
#include "sandboxd/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandbox/protocol.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/request_check.h"
#include "sandboxd/rootfs.h"
#include "sandboxd/seccomp_filter.h"
#include "sandboxd/slot.h"

struct launcher {
    int control;
    const struct launcher_settings *settings;
    struct image images[IMAGES_MAX];
    size_t images_len;
    struct {
        pid_t process; /* 0: none */
        struct cgroup group;
        int isolate_claim; /* descriptor that claims isolate_box for the launcher's life; 0: none */
        uint32_t isolate_box;
    } slots[SLOTS_MAX];
};

static struct launcher launcher; /* large; slots inherit it */

static void answer(const struct control_request *to, const struct error *err, uint32_t value, int fd)
{
    struct control_reply reply = { .op = to->op, .sequence = to->sequence, .value = value };
    if (err != NULL) {
        reply.os = err->os != 0 ? err->os : EIO;
        (void)snprintf(reply.text, sizeof reply.text, "%s", err->text);
    }
    (void)packet_send(launcher.control, &reply, sizeof reply, &fd, fd >= 0 ? 1 : 0);
}

static int add_image(const char name[CONTROL_IMAGE_BYTES], struct error *err)
{
    if (!request_image_name_is_plain(name))
        return error_set(err, ERROR_SETUP, EINVAL, "an image's name consists of a-z, 0-9, '.', '_', '-', '+'");
    for (size_t i = 0; i < launcher.images_len; i++)
        if (strcmp(launcher.images[i].name, name) == 0)
            return 0;
    if (launcher.images_len == IMAGES_MAX)
        return error_set(err, ERROR_SETUP, ENOSPC, "more than %u images", IMAGES_MAX);
    struct image *image = &launcher.images[launcher.images_len];
    /*
     * Each slot assembles its own root of an image, at the first run that needs it.  Only the first image is assembled
     * here, as proof that this host can do it.  For the others the folders are checked, because assembling sixty images
     * would take seconds at every start.
     */
    *image = (struct image){ .mount_ns = -1, .cache_dir = -1, .meminfo = -1 };
    (void)snprintf(image->name, sizeof image->name, "%s", name);
    if (launcher.images_len == 0 ? rootfs_build(launcher.settings->images_folder, image, err) < 0
                                 : rootfs_check(launcher.settings->images_folder, name, err) < 0)
        return -1;
    cleanup_close(&image->mount_ns);
    cleanup_close(&image->cache_dir);
    cleanup_close(&image->meminfo);
    image->mount_ns = image->cache_dir = image->meminfo = -1;
    launcher.images_len++;
    return 0;
}

static void clean_slot(uint32_t number)
{
    if (launcher.settings->tree.mode != CGROUP_NONE)
        (void)cgroup_slot_close(&launcher.slots[number].group, CLEAN_UP_MS);
    struct error err;
    if (launcher.slots[number].isolate_claim != 0 &&
        isolate_cleanup(&launcher.settings->isolate, launcher.slots[number].isolate_box, &err) < 0)
        dprintf(STDERR_FILENO, "evalx slot %" PRIu32 ": %s\n", number, err.text); /* the next --init resets it */
    launcher.slots[number].process = 0;
}

static void kill_slot(uint32_t number)
{
    pid_t process = launcher.slots[number].process;
    if (process == 0)
        return;
    (void)kill(process, SIGKILL);
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR)
        ;
    clean_slot(number);
}

static _Noreturn void run_slot(uint32_t number, int socket)
{
    char name[16];
    (void)snprintf(name, sizeof name, "evalx-slot-%" PRIu32, number);
    (void)prctl(PR_SET_NAME, name);
    /* A slot must not use the launcher's descriptors: the control socket, isolate claims, other slots' groups. */
    (void)close(launcher.control);
    for (uint32_t i = 0; i < SLOTS_MAX; i++) {
        if (launcher.slots[i].isolate_claim != 0)
            (void)close(launcher.slots[i].isolate_claim);
        for (int c = 0; i != number && launcher.slots[i].process != 0 && c < CGROUP_CONTROLLERS; c++)
            cleanup_close(&launcher.slots[i].group.dirs[c]);
    }
    struct slot_settings settings = {
        .number = number,
        .pin = launcher.settings->pin,
        .uid_first = (uint32_t)(launcher.settings->uid_base + (uint64_t)number * SLOT_UIDS),
        .images_folder = launcher.settings->images_folder,
        .images = launcher.images,
        .images_len = launcher.images_len,
        .filters = &launcher.settings->filters,
        .group = launcher.slots[number].group,
        .isolate = launcher.settings->isolate.command != NULL ? &launcher.settings->isolate : NULL,
        .isolate_box = launcher.slots[number].isolate_box,
    };
    slot_main(&settings, socket);
}

/* A slot that is replaced keeps its isolate box. */
static int claim_isolate_box(uint32_t number, struct error *err)
{
    if (launcher.settings->isolate.command == NULL || launcher.slots[number].isolate_claim != 0)
        return 0;
    int claim = isolate_claim_box(number, &launcher.slots[number].isolate_box, err);
    if (claim < 0)
        return -1;
    launcher.slots[number].isolate_claim = claim;
    return 0;
}

static int open_slot(uint32_t number, int *ret_socket, struct error *err)
{
    if (number >= SLOTS_MAX)
        return error_set(err, ERROR_SETUP, EINVAL, "slot %" PRIu32 ": there are at most %u", number, SLOTS_MAX);
    kill_slot(number);
    if (claim_isolate_box(number, err) < 0)
        return -1;
    if (launcher.settings->tree.mode != CGROUP_NONE &&
        cgroup_slot_open(&launcher.settings->tree, number, &launcher.slots[number].group, err) < 0)
        return -1;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        error_set(err, ERROR_SANDBOX, errno, "socketpair for slot %" PRIu32, number);
        clean_slot(number);
        return -1;
    }
    pid_t process = fork();
    if (process == 0) {
        (void)close(pair[0]);
        run_slot(number, pair[1]);
    }
    (void)close(pair[1]);
    if (process < 0) {
        (void)close(pair[0]);
        error_set(err, ERROR_SANDBOX, errno, "fork slot %" PRIu32, number);
        clean_slot(number);
        return -1;
    }
    launcher.slots[number].process = process;
    *ret_socket = pair[0];
    return 0;
}

/* 0 when the worker is gone. */
static int serve_one(void)
{
    struct control_request request;
    int got = packet_receive(launcher.control, &request, sizeof request, NULL, 0, NULL, 0);
    if (got == 0 || (got < 0 && errno != EBADMSG))
        return 0;
    struct error err = { 0 };
    if (got < 0) {
        error_set(&err, ERROR_BUG, EBADMSG, "a control message of the wrong size");
        answer(&(struct control_request){ 0 }, &err, 0, -1);
    } else if (request.op == CONTROL_IMAGE) {
        answer(&request, add_image(request.image, &err) < 0 ? &err : NULL, 0, -1);
    } else if (request.op == CONTROL_SLOT) {
        int socket = -1;
        int result = open_slot(request.slot, &socket, &err);
        answer(&request, result < 0 ? &err : NULL, 0, socket);
        if (socket >= 0)
            (void)close(socket);
    } else {
        error_set(&err, ERROR_BUG, EINVAL, "control request %" PRIu32 " is unknown", request.op);
        answer(&request, &err, 0, -1);
    }
    return 1;
}

static void reap_slots(void)
{
    pid_t process;
    while ((process = waitpid(-1, NULL, WNOHANG)) > 0)
        for (uint32_t i = 0; i < SLOTS_MAX; i++)
            if (launcher.slots[i].process == process)
                clean_slot(i);
}

static int open_child_signals(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGTERM); /* blocked for good, in slots too: the worker decides when to end */
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGHUP);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) < 0)
        return -1;
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    return signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void serve_until_closed(int children)
{
    struct pollfd polled[2] = { { .fd = launcher.control, .events = POLLIN }, { .fd = children, .events = POLLIN } };
    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return;
        if (polled[1].revents != 0) {
            struct signalfd_siginfo info;
            (void)!read(children, &info, sizeof info);
            reap_slots();
        }
        if (polled[0].revents != 0 && serve_one() == 0)
            return;
    }
}

void launcher_hello(int control, const struct launcher_settings *settings, const struct error *err)
{
    struct control_reply hello = { .op = CONTROL_HELLO, .value = settings->tree.mode };
    const struct isolate *isolate = &settings->isolate;
    if (err != NULL) {
        hello.os = err->os != 0 ? err->os : EIO;
        (void)snprintf(hello.text, sizeof hello.text, "%s", err->text);
    } else if (isolate->command != NULL) {
        (void)snprintf(hello.text, sizeof hello.text, "isolate %s at %s%s", isolate->version, isolate->command,
                       isolate->cg ? ", with cgroups of its own" : "");
    } else {
        (void)snprintf(hello.text, sizeof hello.text, "native");
    }
    (void)packet_send(control, &hello, sizeof hello, NULL, 0);
}

/* Standby boxes end a moment after their slots.  Waits for them, so that nothing is left when the launcher ends. */
static void reap_orphans(void)
{
    for (unsigned waited = 0; waited < CLEAN_UP_MS; waited++) {
        pid_t ended;
        do
            ended = waitpid(-1, NULL, WNOHANG);
        while (ended > 0 || (ended < 0 && errno == EINTR));
        if (ended < 0)
            return;
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

int launcher_main(const struct launcher_settings *settings, int control)
{
    launcher.control = control;
    launcher.settings = settings;
    (void)prctl(PR_SET_NAME, "evalx-launcher");
    /* The init of a run outlives a killed slot for a moment.  It is then reaped here. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    int children = open_child_signals();
    launcher_hello(control, settings, NULL);
    serve_until_closed(children);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        kill_slot(i);
    reap_orphans();
    return 0;
}
