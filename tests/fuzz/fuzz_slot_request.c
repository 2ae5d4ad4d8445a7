/*
 * A compromised worker's packets to a slot: any size and any descriptors, through a real socket.
 *
 * An accepted request has what the slot relies on: NUL-terminated words inside the request, limits below the ceilings,
 * and streams as descriptors.  No descriptor may leak.
 *
 * Input: one byte for the number of descriptors, one for their kinds, one for whether the size is right, and then the
 * request from its beginning.  Missing bytes are zero.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/packet.h"
#include "sandboxd/request_check.h"

#define FDS_SENT_MAX 8

static struct slot_request sent, got;
static int ends[2], pipe_end, folder, path_only;

static void make(void)
{
    static bool is_made;
    int pipe_ends[2];

    if (is_made)
        return;
    is_made = true;
    /* Keep the standard streams open, as in a slot, so that no received descriptor becomes one of them. */
    while ((folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0 && folder <= STDERR_FILENO)
        continue;
    path_only = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (folder < 0 || path_only < 0 || pipe(pipe_ends) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
        abort();
    pipe_end = pipe_ends[1];
}

static int kind_of(unsigned kinds, size_t i)
{
    unsigned kind = (kinds >> (i % 4 * 2)) & 3;
    return kind == 3 ? folder : kind == 2 ? path_only : pipe_end;
}

static bool is_inside(const char *word)
{
    return word >= got.strings && word < got.strings + got.strings_len &&
           memchr(word, '\0', (size_t)(got.strings + got.strings_len - word)) != NULL;
}

static void check_words(char *const words[])
{
    for (uint32_t i = 0; i < got.words; i++)
        assert(is_inside(words[i]));
    assert(words[got.words] == NULL);
    for (uint32_t i = 0; i < got.variables; i++)
        assert(is_inside(words[got.words + 1 + i]));
    assert(words[got.words + 1 + got.variables] == NULL);
}

static void check_run(const int fds[], size_t fds_len, unsigned kinds)
{
    char *words[REQUEST_WORDS_MAX];
    const char *why = NULL;
    int os = request_check_run(&got, 1u << 30, fds, fds_len, words, &why);

    if (os != 0) {
        assert(os > 0 && why != NULL && why[0] != '\0');
        return;
    }
    assert(got.class < RUN_CLASS_COUNT_);
    assert(fds_len == 3u + ((got.flags & SLOT_HAS_ARCHIVE) != 0) + ((got.flags & SLOT_KEEP_FILES) != 0));
    for (size_t i = 0; i < fds_len; i++)
        assert(kind_of(kinds, i) == pipe_end);
    const uint64_t memory_max = 1u << 30;
#define X(field, type, key, factor, floor, standard, ceiling, root_max) assert(got.limits.field <= (root_max));
    LIMITS_LIST(X)
#undef X
    assert(got.limits.disk_bytes >= 4096);
    assert(got.words > 0);
    check_words(words);
}

static void check_image_name(void)
{
    if (!request_image_name_is_plain(got.image))
        return;
    assert(memchr(got.image, '\0', sizeof got.image) != NULL && got.image[0] != '\0');
    assert(strchr(got.image, '/') == NULL && strcmp(got.image, ".") != 0 && strcmp(got.image, "..") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    int fds[FDS_SENT_MAX];
    size_t fds_len = 0;

    make();
    if (len < 3 || len - 3 > sizeof sent)
        return 0;
    size_t fds_sent = bytes[0] % (FDS_SENT_MAX + 1);
    size_t size = bytes[2] == 0 ? sizeof sent : len - 3;
    memset(&sent, 0, sizeof sent);
    memcpy(&sent, bytes + 3, len - 3);
    for (size_t i = 0; i < fds_sent; i++)
        fds[i] = kind_of(bytes[1], i);
    if (size == 0) /* the end of the line, to the other side */
        return 0;
    if (packet_send(ends[0], &sent, size, fds, fds_sent) < 0)
        abort();

    int result = packet_receive(ends[1], &got, sizeof got, fds, SLOT_FDS_MAX, &fds_len, MSG_DONTWAIT);
    assert((result == 1) == (size == sizeof got && fds_sent <= SLOT_FDS_MAX));
    if (result == 1) {
        assert(fds_len == fds_sent);
        check_image_name();
        check_run(fds, fds_len, bytes[1]);
        for (size_t i = 0; i < fds_len; i++)
            if (close(fds[i]) < 0)
                abort();
    }
    int next = dup(pipe_end); /* the lowest number that is free: each round the same, or something was left open */
    static int first = -1;
    if (first < 0)
        first = next;
    assert(next == first);
    (void)close(next);
    return 0;
}
