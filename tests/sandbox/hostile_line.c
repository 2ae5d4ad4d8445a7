/* hostile_line: see the header. */
#include "hostile_line.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../shared_host.h"
#include "base/cleanup.h"
#include "base/packet.h"

#define IMAGES "/nonexistent-images"

struct sandbox *sandbox;
int line = -1;
struct slot_request request;
struct slot_reply reply;
uint32_t runs;

int open_line(uint32_t slot)
{
    struct error err;
    int fd = -1;
    if (sandbox_open_slot(sandbox, slot, &fd, &err) < 0)
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
    line = open_line(0);
    return 0;
}

int hostile_stop(void **state)
{
    (void)state;
    cleanup_close(&line);
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
    assert_int_equal(packet_send(line, &request, sizeof request, fds, len), 0);
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
        struct pollfd polled = { .fd = line, .events = POLLIN };
        if (poll(&polled, 1, ANSWER_MS) != 1)
            fail_msg("no answer to run %u", (unsigned)number);
        assert_int_equal(packet_receive(line, &reply, sizeof reply, NULL, 0, NULL, 0), 1);
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
        fail_msg("%s: was not refused (exit code %d)", why, reply.stats.exit_code);
    assert_non_null(memchr(reply.text, '\0', sizeof reply.text));
}
