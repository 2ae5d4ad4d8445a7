/* request_check: see the header. */
#include "sandboxd/request_check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool request_image_name_is_plain(const char name[CONTROL_IMAGE_BYTES])
{
    size_t len = strnlen(name, CONTROL_IMAGE_BYTES);
    bool plain = len > 0 && len < CONTROL_IMAGE_BYTES && name[0] != '.' && name[0] != '-';
    for (size_t i = 0; plain && i < len; i++)
        plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '.' ||
                name[i] == '_' || name[i] == '-' || name[i] == '+';
    return plain;
}

static int reject(int os, const char *why, const char **ret_why)
{
    *ret_why = why;
    return os;
}

/* Points argv and env into the request's strings. */
static int split_strings(struct slot_request *r, char *words[REQUEST_WORDS_MAX], const char **ret_why)
{
    if (r->words == 0 || r->words > SLOT_WORDS_MAX || r->variables > SLOT_WORDS_MAX - r->words ||
        r->strings_len > SLOT_STRINGS_BYTES)
        return reject(EINVAL, "the request's word counts are invalid", ret_why);
    char *at = r->strings, *end = r->strings + r->strings_len;
    size_t out = 0;
    for (uint32_t i = 0; i < r->words + r->variables; i++) {
        char *stop = memchr(at, '\0', (size_t)(end - at));
        if (stop == NULL)
            return reject(EINVAL, "the request's words are not terminated", ret_why);
        words[out++] = at;
        at = stop + 1;
        if (i + 1 == r->words)
            words[out++] = NULL;
    }
    words[out] = NULL;
    return 0;
}

static uint64_t at_most(uint64_t value, uint64_t ceiling)
{
    return value < ceiling ? value : ceiling;
}

uint64_t request_memory_max(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages <= 0 || page <= 0 ? SLOT_MEMORY_BYTES_UNKNOWN
                                   : (uint64_t)pages / 8 * SLOT_MEMORY_EIGHTHS * (uint64_t)page;
}

static void clamp(struct limits *l, uint64_t memory_max)
{
#define X(field, type, key, factor, floor, standard, ceiling, root_max) l->field = (type)at_most(l->field, root_max);
    LIMITS_LIST(X)
#undef X
    if (l->disk_bytes < 4096) /* 0 would mean "no limit" to tmpfs */
        l->disk_bytes = 4096;
}

/* A stream may be a file, a pipe, a socket or a device, but not a folder, which would lead to other files. */
static bool is_stream(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    return fd > STDERR_FILENO && flags >= 0 && (flags & O_PATH) == 0 && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* The source is a file in the box's top folder, it is in the archive, and no files are kept. */
static bool may_prestart(const struct slot_request *r)
{
    size_t len = strnlen(r->source, SLOT_SOURCE_BYTES);
    return (r->flags & (SLOT_HAS_ARCHIVE | SLOT_KEEP_FILES | SLOT_SELF_TEST)) == SLOT_HAS_ARCHIVE && len > 0 &&
           len < SLOT_SOURCE_BYTES && r->source[0] != '.' && memchr(r->source, '/', len) == NULL;
}

int request_check_run(struct slot_request *request, uint64_t memory_max, const int fds[], size_t fds_len,
                      char *words[REQUEST_WORDS_MAX], const char **ret_why)
{
    size_t expected =
        SLOT_FD_BASE_COUNT_ + ((request->flags & SLOT_HAS_ARCHIVE) != 0) + ((request->flags & SLOT_KEEP_FILES) != 0);
    if (fds_len != expected || request->class >= RUN_CLASS_COUNT_)
        return reject(EINVAL, "the request has the wrong number of descriptors or an unknown class", ret_why);
    for (size_t i = 0; i < fds_len; i++)
        if (!is_stream(fds[i]))
            return reject(EINVAL, "a descriptor of the request is not a stream", ret_why);
    if ((request->flags & SLOT_MAY_PRESTART) != 0 && !may_prestart(request))
        return reject(EINVAL, "the request names no source file to wait for", ret_why);
    clamp(&request->limits, memory_max);
    request->keep_bytes_max = at_most(request->keep_bytes_max, request->limits.disk_bytes);
    return split_strings(request, words, ret_why);
}
