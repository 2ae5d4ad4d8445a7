/* submission: names of states and priorities, and the rule for file names. */
#include "model/submission.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 200
#define NAME_PARTS_MAX 8

const char *submission_state_name(enum submission_state state)
{
    static const char *const names[] = {
        [SUBMISSION_QUEUED] = "Queued",
        [SUBMISSION_PROCESSING] = "Processing",
        [SUBMISSION_COMPLETED] = "Completed",
        [SUBMISSION_FAILED] = "Failed",
    };
    static_assert(sizeof names / sizeof *names == SUBMISSION_STATE_COUNT_, "every state has a name");

    assert((unsigned)state < SUBMISSION_STATE_COUNT_);
    return names[state];
}

const char *submission_priority_name(enum submission_priority priority)
{
    static const char *const names[] = {
        [PRIORITY_HIGH] = "high",
        [PRIORITY_NORMAL] = "normal",
        [PRIORITY_LOW] = "low",
    };
    static_assert(sizeof names / sizeof *names == PRIORITY_COUNT_, "every priority has a name");

    assert((unsigned)priority < PRIORITY_COUNT_);
    return names[priority];
}

const char *run_network_name(enum run_network network)
{
    static const char *const names[] = {
        [RUN_NETWORK_NONE] = "none",
        [RUN_NETWORK_LOOPBACK] = "loopback",
    };
    static_assert(sizeof names / sizeof *names == RUN_NETWORK_COUNT_, "every network has a name");

    assert((unsigned)network < RUN_NETWORK_COUNT_);
    return names[network];
}

const enum submission_priority *submission_priority_order(uint64_t turn)
{
    static const enum submission_priority usual[] = { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW };
    static const enum submission_priority fourth[] = { PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_LOW };
    static const enum submission_priority eighth[] = { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH };
    static_assert(PRIORITY_COUNT_ == 3, "every priority has its place in each order");
    return turn % 8 == 7 ? eighth : turn % 4 == 3 ? fourth : usual;
}

bool client_name_is_valid(struct text name)
{
    if (name.len == 0 || name.len >= CLIENT_NAME_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] == '\0' || strchr("abcdefghijklmnopqrstuvwxyz0123456789_.-", name.at[i]) == NULL)
            return false;
    return true;
}

static bool part_is_valid(struct text part)
{
    return part.len > 0 && !text_equal(part, TEXT(".")) && !text_equal(part, TEXT(".."));
}

bool file_name_is_valid(struct text name)
{
    size_t parts = 0, start = 0;

    if (name.len == 0 || name.len > NAME_BYTES_MAX || !text_is_utf8(name))
        return false;
    for (size_t i = 0; i <= name.len; i++) {
        if (i < name.len && (name.at[i] == '\0' || name.at[i] == '\\'))
            return false;
        if (i < name.len && name.at[i] != '/')
            continue;
        if (!part_is_valid((struct text){ name.at + start, i - start }) || ++parts > NAME_PARTS_MAX)
            return false;
        start = i + 1;
    }
    return true;
}

void submission_done(struct submission *submission)
{
    arena_done(&submission->arena);
    *submission = (struct submission){ 0 };
}

struct text submission_queue(const struct submission *submission)
{
    assert(submission->programs_len > 0);
    const struct language *first = submission->programs[0].language;

    for (size_t i = 1; i < submission->programs_len; i++)
        if (submission->programs[i].language != first)
            return TEXT(QUEUE_MIXED);
    return first->id;
}

void queue_name(struct text language, unsigned version, char ret[QUEUE_NAME_BYTES])
{
    assert(language.len < QUEUE_NAME_BYTES - 4 && version < 100);
    if (version == 1)
        (void)snprintf(ret, QUEUE_NAME_BYTES, "%.*s", TEXT_ARG(language));
    else
        (void)snprintf(ret, QUEUE_NAME_BYTES, "%.*s@%u", TEXT_ARG(language), version);
}

struct text queue_language(const char *queue)
{
    const char *sign = strrchr(queue, '@');

    return sign != NULL && sign[1] >= '0' && sign[1] <= '9' ? (struct text){ queue, (size_t)(sign - queue) }
                                                            : text_of(queue);
}

size_t file_name_normalise(struct text name, char *ret)
{
    size_t len = 0;

    for (size_t start = 0; start < name.len;) {
        const char *slash = memchr(name.at + start, '/', name.len - start);
        size_t end = slash != NULL ? (size_t)(slash - name.at) + 1 : name.len; /* with the slash */
        struct text part = { name.at + start, end - start };
        bool is_void = text_equal(part, TEXT("./")) || (text_equal(part, TEXT("/")) && start > 0);
        if (!is_void) {
            memmove(ret + len, part.at, part.len);
            len += part.len;
        }
        start = end;
    }
    return len;
}
