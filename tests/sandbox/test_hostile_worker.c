/*
 * A worker under an attacker's control: it sends messages of protocol.h with any content.
 *
 * The root side must reject them or run them in a box, continue to serve, and change nothing of the host.  Each test
 * ends with a good run on the same socket.  Needs root; skipped (77) otherwise.  EVALX_HOSTILE_MESSAGES is the number
 * of random messages (default 600), EVALX_HOSTILE_SEED their seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/packet.h"
#include "sandbox/archive.h"
#include "sandbox/sandbox_internal.h"

#include "hostile_worker.h"

/* ---- requests ---- */

static void counts_and_words_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        uint32_t words, variables, strings_len, class;
    } rows[] = {
        { "no word", 0, 0, 10, 0 },
        { "more words than strings", 3, 0, 10, 0 },
        { "more words than fit", SLOT_WORDS_MAX + 1, 0, 10, 0 },
        { "variables beyond the sum", 1, SLOT_WORDS_MAX, 10, 0 },
        { "a sum that wraps", 2, UINT32_MAX - 1, 10, 0 },
        { "the most words possible", UINT32_MAX, UINT32_MAX, UINT32_MAX, 0 },
        { "more strings than fit", 1, 0, SLOT_STRINGS_BYTES + 1, 0 },
        { "strings of 4 GiB", 1, 0, UINT32_MAX, 0 },
        { "no strings", 1, 0, 0, 0 },
        { "a word without NUL", 1, 0, 5, 0 },
        { "a class after the last", 1, 0, 10, RUN_CLASS_COUNT_ },
        { "a class far after the last", 1, 0, 10, 0x80000000u },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        good_request("/bin/true", NULL);
        request.words = rows[i].words;
        request.variables = rows[i].variables;
        request.strings_len = rows[i].strings_len;
        request.class = rows[i].class;
        run_with_null();
        expect_refused(rows[i].why);
    }
    /* All bytes used, and no NUL among them. */
    good_request("/bin/true", NULL);
    memset(request.strings, 'x', sizeof request.strings);
    request.strings_len = sizeof request.strings;
    run_with_null();
    expect_refused("full strings without NUL");
    expect_still_good();
}

static void images_must_be_known(void **state)
{
    (void)state;
    static const char *const names[] = { "", "HOST", "host/", "./host", "../", "/", "etc", "hos", "hostt", "host\n" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        good_request("/bin/true", NULL);
        memset(request.image, 0, sizeof request.image);
        memcpy(request.image, names[i], strlen(names[i]));
        run_with_null();
        expect_refused(names[i]);
    }
    good_request("/bin/true", NULL);
    memset(request.image, 'h', sizeof request.image); /* no NUL */
    run_with_null();
    expect_refused("an image's name without NUL");
    expect_still_good();
}

static void descriptors_are_counted_and_must_be_streams(void **state)
{
    (void)state;
    auto_close int null = null_fd();
    auto_close int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int path = open("/etc/passwd", O_PATH | O_CLOEXEC);
    for (size_t count = 0; count <= 5; count++) {
        const int fds[] = { null, null, null, null, null };
        for (uint32_t flags = 0; flags < 4; flags++) {
            good_request("/bin/true", NULL);
            request.flags = flags;
            if (count == 3u + (flags & 1) + (flags >> 1))
                continue;
            send_request(fds, count);
            await(request.run);
            expect_refused("a wrong number of descriptors");
        }
    }
    for (size_t place = 0; place < 5; place++)
        for (int kind = 0; kind < 2; kind++) {
            int fds[] = { null, null, null, null, null };
            fds[place] = kind == 0 ? folder : path;
            good_request("/bin/true", NULL);
            request.flags = SLOT_HAS_ARCHIVE | SLOT_KEEP_FILES;
            send_request(fds, 5);
            await(request.run);
            expect_refused("a folder or a path");
        }
    expect_still_good();
}

static void packets_of_another_size_are_dropped(void **state)
{
    (void)state;
    auto_close int null = null_fd();
    const int many[] = { null, null, null, null, null, null, null, null };
    good_request("/bin/true", NULL);
    assert_int_equal(packet_send(slot_socket, &request, 1, NULL, 0), 0);
    assert_int_equal(packet_send(slot_socket, &request, sizeof request - 1, many, 3), 0);
    assert_int_equal(packet_send(slot_socket, &request, sizeof request, many, 8),
                     0); /* more descriptors than any request has */
    static char large[sizeof request + 4096];
    assert_int_equal(packet_send(slot_socket, large, sizeof large, many, 8), 0);
    expect_still_good();
}

static void smallest_and_largest_limits_end_the_run(void **state)
{
    (void)state;
    good_request("/bin/sleep", "60");
    memset(&request.limits, 0, sizeof request.limits);
    run_with_null();
    assert_true(reply.os != 0 || reply.stats.exit_code != 0 || reply.stats.signal != 0 || reply.exec_os != 0);
    good_request("/bin/true", NULL);
    memset(&request.limits, 0xff, sizeof request.limits);
    run_with_null();
    /* Rejected, or run under the ceilings.  Either way the slot continues. */
    assert_true(reply.os != 0 || reply.stats.exit_code == 0);
    good_request("/bin/sleep", "60");
    request.limits.wall_us = 1;
    run_with_null();
    assert_true(reply.os != 0 || reply.stats.wall_exceeded);
    expect_still_good();
}

/* ---- archives ---- */

struct entry {
    const char *why, *name;
    uint32_t name_len, mode;
    uint64_t size;
    bool with_content;
};

static int archive_of(const struct entry *entry, size_t magic_len)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, ARCHIVE_MAGIC, magic_len), (ssize_t)magic_len);
    struct archive_entry head = { .name_len = entry->name_len, .mode = entry->mode, .size = entry->size };
    assert_int_equal(write(fd, &head, sizeof head), (ssize_t)sizeof head);
    assert_true(write(fd, entry->name, strlen(entry->name)) >= 0);
    if (entry->with_content)
        assert_int_equal(write(fd, "content!", 8), 8);
    return fd;
}

static void run_with_archive(int archive)
{
    auto_close int null = null_fd();
    const int fds[] = { null, null, null, archive };
    request.flags |= SLOT_HAS_ARCHIVE;
    send_request(fds, 4);
    await(request.run);
}

static void hostile_archives_are_refused(void **state)
{
    (void)state;
    static const struct entry rows[] = {
        { "leads out", "../evil", 7, 0644, 8, true },
        { "leads out from inside", "a/../../evil", 12, 0644, 8, true },
        { "absolute", "/tmp/evil", 9, 0644, 8, true },
        { "the folder itself", ".", 1, 0644, 8, true },
        { "an empty part", "a//b", 4, 0644, 8, true },
        { "a folder", "a/", 2, 0644, 8, true },
        { "no name", "", 0, 0644, 8, true },
        { "a name with NUL", "a\0b", 3, 0644, 8, true },
        { "a name of 4 GiB", "a", UINT32_MAX, 0644, 8, true },
        { "a name that is too long", "a", ARCHIVE_NAME_MAX + 1, 0644, 8, true },
        { "set-uid", "a", 1, 04755, 8, true },
        { "a device", "a", 1, S_IFCHR | 0644, 8, true },
        { "missing content", "a", 1, 0644, 9, false },
        { "the largest size possible", "a", 1, 0644, UINT64_MAX, true },
        { "content larger than the box", "a", 1, 0644, 1ull << 40, true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_close int archive = archive_of(&rows[i], sizeof ARCHIVE_MAGIC - 1);
        good_request("/bin/true", NULL);
        run_with_archive(archive);
        expect_refused(rows[i].why);
    }
    auto_close int torn = archive_of(&rows[0], 3);
    good_request("/bin/true", NULL);
    run_with_archive(torn);
    expect_refused("a torn magic");
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); /* never written to: a read would block */
    good_request("/bin/true", NULL);
    run_with_archive(ends[0]);
    expect_refused("a pipe as archive");
    (void)close(ends[0]);
    (void)close(ends[1]);
    /* A sparse file with more content than the box may hold.  Its pages must not all be allocated. */
    auto_close int sparse =
        archive_of(&(struct entry){ "", "big", 3, 0644, 1ull << 38, false }, sizeof ARCHIVE_MAGIC - 1);
    assert_int_equal(ftruncate(sparse, 1ll << 39), 0);
    good_request("/bin/true", NULL);
    run_with_archive(sparse);
    expect_refused("a sparse archive");
    expect_still_good();
}

/* A rejected request must neither use nor leak the standby box. */
static void a_rejected_request_leaves_no_box_behind(void **state)
{
    (void)state;
    expect_still_good();
    unsigned before = count_descendants();
    for (int i = 0; i < 50; i++) {
        good_request("/bin/true", NULL);
        request.words = 0;
        run_with_null();
        expect_refused("no word");
    }
    expect_still_good();
    unsigned now = 0;
    for (int tries = 0; tries < 50 && (now = count_descendants()) > before + 5; tries++)
        (void)poll(NULL, 0, 20);
    if (now > before + 5)
        fail_msg("%u processes before, %u after", before, now);
}

/* ---- what the root side does with descriptors ---- */

static void strange_streams_harm_nobody(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    const int kinds[] = { pair[0],
                          epoll_create1(EPOLL_CLOEXEC),
                          eventfd(0, EFD_CLOEXEC),
                          (int)syscall(SYS_pidfd_open, getpid(), 0),
                          open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC),
                          open("/proc/self/mem", O_RDWR | O_CLOEXEC),
                          open("/proc/self/uid_map", O_RDWR | O_CLOEXEC),
                          open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC),
                          memfd_create("m", MFD_CLOEXEC),
                          sandbox->control };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_true(kinds[i] >= 0);
        for (uint32_t flags = 0; flags < 4; flags++) {
            const int fds[] = { kinds[i], kinds[i], kinds[i], kinds[i], kinds[i] };
            good_request("/bin/true", NULL);
            request.flags = flags;
            send_request(fds, 3u + (flags & 1) + (flags >> 1));
            await(request.run);
            /* Only a plain file may be an archive; here it is one, as the previous run has packed into it. */
            if (flags == SLOT_HAS_ARCHIVE)
                expect_refused("not an archive");
        }
        if (kinds[i] != sandbox->control)
            (void)close(kinds[i]);
    }
    (void)close(pair[1]);
    /* Packing into the control socket sent malformed requests to the launcher, which answered with errors. */
    struct control_reply answer;
    struct pollfd polled = { .fd = sandbox->control, .events = POLLIN };
    while (poll(&polled, 1, 200) == 1) {
        assert_int_equal(packet_receive(sandbox->control, &answer, sizeof answer, NULL, 0, NULL, 0), 1);
        assert_int_not_equal(answer.os, 0);
    }
    expect_still_good();
}

static void a_named_fifo_keeps_its_owner(void **state)
{
    (void)state;
    char folder[] = "/tmp/evalx-hostile-XXXXXX", name[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(name, sizeof name, "%s/fifo", folder);
    assert_int_equal(mkfifo(name, 0600), 0);
    auto_close int fifo = open(name, O_RDWR | O_CLOEXEC);
    const int fds[] = { fifo, fifo, fifo };
    good_request("/bin/true", NULL);
    send_request(fds, 3);
    await(request.run);
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_uid, getuid());
    assert_int_equal(unlink(name), 0);
    assert_int_equal(rmdir(folder), 0);
    expect_still_good();
}

/*
 * execve opens the program, and the interpreter that a script names, before it closes descriptors.  A folder of the
 * root side among them would lead into the host's tree.
 */
static void no_descriptor_leads_out_of_the_image(void **state)
{
    (void)state;
    char folder[] = "/tmp/evalx-hostile-XXXXXX", outside[64], path[160], script[200];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    (void)snprintf(outside, sizeof outside, "%s/outside", folder);
    int file = open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_true(write(file, "#!/bin/true\n", 12) == 12 && fchmod(file, 0755) == 0);
    assert_int_equal(close(file), 0); /* ETXTBSY while it is open for writing */
    for (int fd = 0; fd < 64; fd++)
        for (int by_script = 0; by_script < 2; by_script++) {
            (void)snprintf(path, sizeof path, "/proc/self/fd/%d/../../../../../../../../..%s", fd, outside);
            (void)snprintf(script, sizeof script, "#!%s\n", path);
            const struct entry entry = { "", "main", 4, 0755, strlen(script), false };
            auto_close int archive = archive_of(&entry, sizeof ARCHIVE_MAGIC - 1);
            assert_int_equal(write(archive, script, strlen(script)), (ssize_t)strlen(script));
            good_request(by_script ? "/box/main" : path, NULL);
            run_with_archive(archive);
            if (reply.os == 0 && reply.exec_os == 0)
                fail_msg("descriptor %d led to a file of the host", fd);
        }
    assert_int_equal(unlink(outside), 0);
    assert_int_equal(rmdir(folder), 0);
    expect_still_good();
}

/* ---- during a run ---- */

static void messages_during_a_run_change_nothing(void **state)
{
    (void)state;
    auto_close int null = null_fd();
    const int fds[] = { null, null, null };
    good_request("/bin/sleep", "0.3");
    uint32_t sleeper = request.run;
    send_request(fds, 3);
    good_request("/bin/false", NULL); /* a second run at the same time is ignored */
    send_request(fds, 3);
    good_request("/bin/false", NULL);
    request.op = SLOT_KILL;
    request.run = sleeper + 1000; /* another run */
    send_request(fds, 3);
    request.op = SLOT_DONE;
    send_request(NULL, 0);
    request.op = UINT32_MAX;
    send_request(NULL, 0);
    assert_int_equal(packet_send(slot_socket, "x", 1, fds, 3), 0);
    await(sleeper);
    assert_int_equal(reply.os, 0);
    assert_int_equal(reply.stats.exit_code, 0);
    assert_false(reply.stats.cancelled);
    good_request("/bin/sleep", "60");
    send_request(fds, 3);
    for (int i = 0; i < 50; i++) { /* one is enough */
        request.op = SLOT_KILL;
        request.reason = (uint32_t)i;
        send_request(NULL, 0);
    }
    await(request.run);
    assert_true(reply.stats.cancelled || reply.stats.output_exceeded);
    expect_still_good();
}

/* ---- the control socket ---- */

static void ask_control(const struct control_request *asked, size_t len, const int fds[], size_t fds_len,
                        struct control_reply *ret)
{
    assert_int_equal(packet_send(sandbox->control, asked, len, fds, fds_len), 0);
    struct pollfd polled = { .fd = sandbox->control, .events = POLLIN };
    assert_int_equal(poll(&polled, 1, ANSWER_MS), 1);
    int got_fd = -1;
    size_t got = 0;
    assert_int_equal(packet_receive(sandbox->control, ret, sizeof *ret, &got_fd, 1, &got, 0), 1);
    cleanup_close(&got_fd);
}

static void control_requests_are_checked(void **state)
{
    (void)state;
    static const char *const names[] = { "",     ".",  "..",      "../host", "/",      "/etc", "a/b",
                                         "HOST", "-x", ".hidden", "a b",     "host\n", "a\\b", "nothing-of-the-kind" };
    struct control_reply answer;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct control_request asked = { .op = CONTROL_IMAGE, .sequence = 7 };
        memcpy(asked.image, names[i], strlen(names[i]));
        ask_control(&asked, sizeof asked, NULL, 0, &answer);
        assert_true(answer.os != 0 && answer.sequence == 7);
    }
    struct control_request endless = { .op = CONTROL_IMAGE };
    memset(endless.image, 'a', sizeof endless.image);
    ask_control(&endless, sizeof endless, NULL, 0, &answer);
    assert_int_not_equal(answer.os, 0);
    static const uint32_t slots[] = { SLOTS_MAX, SLOTS_MAX + 1, 0x7fffffff, 0x80000000, UINT32_MAX };
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        struct control_request asked = { .op = CONTROL_SLOT, .slot = slots[i] };
        ask_control(&asked, sizeof asked, NULL, 0, &answer);
        assert_int_not_equal(answer.os, 0);
    }
    static const uint32_t ops[] = { 0, CONTROL_HELLO, 4, 99, UINT32_MAX };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct control_request asked = { .op = ops[i] };
        ask_control(&asked, sizeof asked, NULL, 0, &answer);
        assert_int_not_equal(answer.os, 0);
    }
    auto_close int null = null_fd();
    struct control_request asked = { .op = CONTROL_SLOT, .slot = 5 };
    ask_control(&asked, sizeof asked, &null, 1, &answer); /* no control request has a descriptor */
    assert_int_not_equal(answer.os, 0);
    ask_control(&asked, sizeof asked - 1, NULL, 0, &answer);
    assert_int_not_equal(answer.os, 0);
    expect_still_good();
}

static void slots_may_be_opened_again_and_again(void **state)
{
    (void)state;
    int sockets[16];
    for (uint32_t i = 0; i < 16; i++)
        sockets[i] = open_slot_socket(i + 1);
    for (uint32_t round = 0; round < 40; round++) {
        cleanup_close(&sockets[round % 16]);
        sockets[round % 16] = open_slot_socket(round % 16 + 1);
    }
    /* During a run, whose processes are killed. */
    auto_close int null = null_fd();
    const int fds[] = { null, null, null };
    for (int round = 0; round < 10; round++) {
        good_request("/bin/sleep", "60");
        send_request(fds, 3);
        int fresh = open_slot_socket(0);
        (void)close(slot_socket);
        slot_socket = fresh;
    }
    expect_still_good();
    for (int i = 0; i < 16; i++)
        cleanup_close(&sockets[i]);
}

/* ---- random messages ---- */

static uint64_t seed;

static uint32_t random_below(uint32_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % bound;
}

/* A good request with some bytes of its head changed, but a short wall limit. */
static void random_request(void)
{
    static const char *const programs[] = { "/bin/true", "/bin/echo", "/box", "/etc/passwd", "", "/proc/1/exe" };
    good_request(programs[random_below(6)], random_below(2) ? "x" : NULL);
    unsigned char *head = (unsigned char *)&request;
    for (uint32_t changes = random_below(4); changes > 0; changes--)
        head[random_below((uint32_t)offsetof(struct slot_request, strings) + 64)] = (unsigned char)random_below(256);
    if (random_below(8) == 0)
        for (size_t i = offsetof(struct slot_request, flags); i < offsetof(struct slot_request, limits); i++)
            head[i] = (unsigned char)random_below(256);
    request.limits.wall_us %= 50000;
    request.flags &= ~SLOT_SELF_TEST;
}

/* A slot ignores requests during a run, so a good one is repeated until it is answered. */
static void expect_good_soon(void)
{
    auto_close int null = null_fd();
    const int fds[] = { null, null, null };
    for (int tries = 0; tries < 100; tries++) {
        runs += 1000; /* no changed number may equal the good run's */
        good_request("/bin/true", NULL);
        send_request(fds, 3);
        struct pollfd polled = { .fd = slot_socket, .events = POLLIN };
        while (poll(&polled, 1, 300) == 1) {
            assert_int_equal(packet_receive(slot_socket, &reply, sizeof reply, NULL, 0, NULL, 0), 1);
            if (reply.run != request.run)
                continue;
            assert_int_equal(reply.os, 0);
            assert_int_equal(reply.stats.exit_code, 0);
            return;
        }
    }
    fail_msg("the slot does not answer");
}

static void the_slot_survives_random_messages(void **state)
{
    (void)state;
    const char *wanted = getenv("EVALX_HOSTILE_MESSAGES"), *seed_text = getenv("EVALX_HOSTILE_SEED");
    long messages = wanted != NULL ? strtol(wanted, NULL, 10) : 600;
    seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 88172645463325252ull;
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    auto_close int null = null_fd();
    auto_close int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int memory = memfd_create("m", MFD_CLOEXEC);
    const int kinds[] = { null, null, null, folder, memory, pair[0], pair[1] };
    for (long i = 0; i < messages; i++) {
        int fds[8];
        size_t len = random_below(4) == 0 ? random_below(7) : 3;
        for (size_t k = 0; k < len; k++)
            fds[k] = kinds[random_below(random_below(4) == 0 ? 7 : 3)];
        random_request();
        size_t bytes = random_below(32) == 0 ? 1 + random_below(sizeof request - 1) : sizeof request;
        assert_int_equal(packet_send(slot_socket, &request, bytes, fds, len), 0);
        if (i % 8 == 7)
            expect_good_soon();
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    expect_still_good();
}

int main(void)
{
    if (geteuid() != 0) {
        print_message("needs root\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_words_are_checked),
        cmocka_unit_test(images_must_be_known),
        cmocka_unit_test(descriptors_are_counted_and_must_be_streams),
        cmocka_unit_test(packets_of_another_size_are_dropped),
        cmocka_unit_test(smallest_and_largest_limits_end_the_run),
        cmocka_unit_test(hostile_archives_are_refused),
        cmocka_unit_test(a_rejected_request_leaves_no_box_behind),
        cmocka_unit_test(strange_streams_harm_nobody),
        cmocka_unit_test(a_named_fifo_keeps_its_owner),
        cmocka_unit_test(no_descriptor_leads_out_of_the_image),
        cmocka_unit_test(messages_during_a_run_change_nothing),
        cmocka_unit_test(control_requests_are_checked),
        cmocka_unit_test(slots_may_be_opened_again_and_again),
        cmocka_unit_test(the_slot_survives_random_messages),
    };
    return cmocka_run_group_tests_name("hostile worker", tests, hostile_start, hostile_stop);
}
