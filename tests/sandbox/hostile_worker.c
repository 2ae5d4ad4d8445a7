/* hostile_worker: see the header. */
#include "hostile_worker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../shared_host.h"
#include "base/cleanup.h"
#include "base/packet.h"

#define IMAGES "/nonexistent-images"

struct sandbox *sandbox;
int slot_socket = -1;
struct slot_request request;
struct slot_reply reply;
uint32_t runs;

int open_slot_socket(uint32_t slot)
{
    struct error err;
    int fd = -1;
    if (sandbox_request_slot(sandbox, slot, &fd, &err) < 0)
        fail_msg("open slot: %s", err.text);
    return fd;
}

int hostile_start(void **state)
{
    (void)state;
    const struct sandbox_settings settings = { .images_folder = IMAGES, .uid_base = free_uids() };
    struct error err;
    if (sandbox_start(&settings, &sandbox, &err) < 0 || sandbox_image(sandbox, "host", &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    slot_socket = open_slot_socket(0);
    return 0;
}

int hostile_stop(void **state)
{
    (void)state;
    cleanup_close(&slot_socket);
    sandbox_stop(sandbox);
    return 0;
}

static void add_word(const char *word)
{
    size_t len = strlen(word) + 1;
    memcpy(request.strings + request.strings_len, word, len);
    request.strings_len += (uint32_t)len;
}

void good_request(const char *program, const char *argument)
{
    memset(&request, 0, sizeof request);
    request.op = SLOT_RUN;
    request.run = ++runs;
    request.limits = (struct limits){ .cpu_us = 2000000,
                                      .wall_us = 4000000,
                                      .memory_bytes = 64 << 20,
                                      .stack_bytes = 8 << 20,
                                      .file_bytes = 8 << 20,
                                      .disk_bytes = 8 << 20,
                                      .processes = 16,
                                      .open_files = 64 };
    memcpy(request.image, "host", 5);
    request.words = argument == NULL ? 1 : 2;
    add_word(program);
    if (argument != NULL)
        add_word(argument);
}

void send_request(const int fds[], size_t len)
{
    assert_int_equal(packet_send(slot_socket, &request, sizeof request, fds, len), 0);
}

int null_fd(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

void await(uint32_t number)
{
    do {
        struct pollfd polled = { .fd = slot_socket, .events = POLLIN };
        if (poll(&polled, 1, ANSWER_MS) != 1)
            fail_msg("no answer to run %u", (unsigned)number);
        assert_int_equal(packet_receive(slot_socket, &reply, sizeof reply, NULL, 0, NULL, 0), 1);
        assert_int_equal(reply.op, SLOT_DONE);
    } while (reply.run != number);
}

void run_with_null(void)
{
    auto_close int null = null_fd();
    const int fds[] = { null, null, null };
    send_request(fds, 3);
    await(request.run);
}

void expect_still_good(void)
{
    good_request("/bin/true", NULL);
    run_with_null();
    if (reply.os != 0)
        fail_msg("a good run fails: %s", reply.text);
    assert_int_equal(reply.stats.exit_code, 0);
    assert_int_equal(reply.exec_os, 0);
}

void expect_refused(const char *why)
{
    if (reply.os == 0)
        fail_msg("%s: was not rejected (exit code %d)", why, reply.stats.exit_code);
    assert_non_null(memchr(reply.text, '\0', sizeof reply.text));
}

unsigned count_descendants(void)
{
    static struct {
        int pid, parent;
        bool is_ours;
    } list[32768];
    size_t len = 0;
    unsigned ours = 0, before;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *entry; len < sizeof list / sizeof *list && (entry = readdir(proc)) != NULL;) {
        char path[300], state;
        int pid, parent;
        (void)snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] < '0' || entry->d_name[0] > '9' ? NULL : fopen(path, "re");
        if (file == NULL)
            continue;
        if (fscanf(file, "%d (%*[^)]) %c %d", &pid, &state, &parent) == 3 && state != 'Z') {
            list[len].pid = pid;
            list[len].parent = parent;
            list[len++].is_ours = pid == getpid();
        }
        (void)fclose(file);
    }
    (void)closedir(proc);
    do {
        before = ours;
        for (size_t i = 0; i < len; i++)
            for (size_t k = 0; k < len && !list[i].is_ours; k++)
                if (list[k].is_ours && list[k].pid == list[i].parent) {
                    list[i].is_ours = true;
                    ours++;
                }
    } while (ours != before);
    return ours;
}
