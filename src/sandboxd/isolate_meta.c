/* isolate_meta: see the header. */
#include "sandboxd/isolate_meta.h"

#include <string.h>

enum field_kind {
    FIELD_SECONDS, /* "1.234", into microseconds */
    FIELD_KILOBYTES,
    FIELD_NUMBER, /* at most 255: exit codes and signals */
    FIELD_FLAG,
    FIELD_STATUS,
    FIELD_MESSAGE,
};

enum field_id {
    FIELD_TIME,
    FIELD_TIME_WALL,
    FIELD_MAX_RSS,
    FIELD_CG_MEM,
    FIELD_EXITCODE,
    FIELD_EXITSIG,
    FIELD_STATUS_WORD,
    FIELD_TEXT,
    FIELD_KILLED,
    FIELD_OOM,
    FIELD_COUNT_
};

static const struct {
    const char *key;
    enum field_kind kind;
} fields[FIELD_COUNT_] = {
    [FIELD_TIME] = { "time", FIELD_SECONDS },         [FIELD_TIME_WALL] = { "time-wall", FIELD_SECONDS },
    [FIELD_MAX_RSS] = { "max-rss", FIELD_KILOBYTES }, [FIELD_CG_MEM] = { "cg-mem", FIELD_KILOBYTES },
    [FIELD_EXITCODE] = { "exitcode", FIELD_NUMBER },  [FIELD_EXITSIG] = { "exitsig", FIELD_NUMBER },
    [FIELD_STATUS_WORD] = { "status", FIELD_STATUS }, [FIELD_TEXT] = { "message", FIELD_MESSAGE },
    [FIELD_KILLED] = { "killed", FIELD_FLAG },        [FIELD_OOM] = { "cg-oom-killed", FIELD_FLAG },
};

/* Digits only, at most `max`, which is far below UINT64_MAX / 10. */
static bool read_number(struct text text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
        if (value > max)
            return false;
    }
    *ret = value;
    return true;
}

/* Seconds with up to six decimals.  A negative time is the difference of two rounded clocks, and counts as 0. */
static bool read_seconds(struct text text, uint64_t *ret_us)
{
    static const uint64_t scale[] = { 1000000, 100000, 10000, 1000, 100, 10, 1 };
    bool negative = text.len > 0 && text.at[0] == '-';
    if (negative)
        text = (struct text){ text.at + 1, text.len - 1 };
    const char *dot = text.len > 0 ? memchr(text.at, '.', text.len) : NULL;
    struct text whole = { text.at, dot != NULL ? (size_t)(dot - text.at) : text.len };
    uint64_t seconds, part = 0;
    if (!read_number(whole, 100000000, &seconds))
        return false;
    if (dot != NULL) {
        struct text decimals = { dot + 1, text.len - whole.len - 1 };
        if (decimals.len > 0 && decimals.at[0] == '-') { /* "-1.-05" or "0.-01": isolate prints a negative remainder */
            if (!negative && seconds != 0)
                return false;
            negative = true;
            decimals = (struct text){ decimals.at + 1, decimals.len - 1 };
        }
        if (decimals.len > 6 || !read_number(decimals, 999999, &part))
            return false;
        part *= scale[decimals.len];
    }
    *ret_us = negative ? 0 : seconds * 1000000 + part;
    return true;
}

static bool read_status(struct text value, enum isolate_status *ret)
{
    static const struct {
        char word[3];
        enum isolate_status status;
    } known[] = { { "RE", ISOLATE_RE }, { "SG", ISOLATE_SG }, { "TO", ISOLATE_TO }, { "XX", ISOLATE_XX } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (value.len == 2 && memcmp(value.at, known[i].word, 2) == 0) {
            *ret = known[i].status;
            return true;
        }
    return false;
}

static void read_message(struct text value, char ret[], size_t size)
{
    size_t len = value.len < size - 1 ? value.len : size - 1;
    for (size_t i = 0; i < len; i++)
        ret[i] = value.at[i] >= ' ' && value.at[i] <= '~' ? value.at[i] : '?';
    ret[len] = '\0';
}

static bool read_value(struct isolate_meta *meta, enum field_id id, struct text value)
{
    uint64_t number = 0;
    switch (fields[id].kind) {
    case FIELD_SECONDS:
        return read_seconds(value, id == FIELD_TIME ? &meta->cpu_us : &meta->wall_us);
    case FIELD_KILOBYTES:
        if (!read_number(value, UINT64_MAX >> 12, &number))
            return false;
        *(id == FIELD_MAX_RSS ? &meta->rss_bytes : &meta->group_bytes) = number << 10;
        return true;
    case FIELD_NUMBER:
        if (!read_number(value, 255, &number))
            return false;
        *(id == FIELD_EXITCODE ? &meta->exit_code : &meta->signal) = (uint32_t)number;
        *(id == FIELD_EXITCODE ? &meta->has_exit_code : &meta->has_signal) = true;
        return true;
    case FIELD_FLAG:
        if (!read_number(value, 1, &number))
            return false;
        *(id == FIELD_KILLED ? &meta->killed : &meta->oom_killed) = number == 1;
        return true;
    case FIELD_STATUS:
        return read_status(value, &meta->status);
    case FIELD_MESSAGE:
        read_message(value, meta->message, sizeof meta->message);
        return true;
    }
    return false;
}

int isolate_meta_parse(struct text text, struct isolate_meta *ret, struct error *err)
{
    struct isolate_meta meta = { .status = ISOLATE_ENDED };
    bool seen[FIELD_COUNT_] = { false };
    if (text.len > ISOLATE_META_BYTES_MAX)
        return error_set(err, ERROR_SANDBOX, 0, "isolate's meta file has %zu bytes", text.len);
    for (unsigned number = 1; text.len > 0; number++) {
        const char *end = memchr(text.at, '\n', text.len);
        if (end == NULL)
            return error_set(err, ERROR_SANDBOX, 0, "line %u of isolate's meta file is incomplete", number);
        struct text line = { text.at, (size_t)(end - text.at) };
        text = (struct text){ end + 1, text.len - line.len - 1 };
        const char *colon = line.len > 0 ? memchr(line.at, ':', line.len) : NULL;
        if (colon == NULL)
            return error_set(err, ERROR_SANDBOX, 0, "line %u of isolate's meta file is not \"key:value\"", number);
        struct text key = { line.at, (size_t)(colon - line.at) };
        struct text value = { colon + 1, line.len - key.len - 1 };
        size_t id = 0;
        while (id < FIELD_COUNT_ && (strlen(fields[id].key) != key.len || memcmp(fields[id].key, key.at, key.len) != 0))
            id++;
        if (id == FIELD_COUNT_)
            continue;
        /* If isolate fails at the end of a run it adds a second status, XX, and message, which replace the first. */
        bool may_repeat = id == FIELD_STATUS_WORD || id == FIELD_TEXT;
        if ((seen[id] && !may_repeat) || !read_value(&meta, (enum field_id)id, value))
            return error_set(err, ERROR_SANDBOX, 0, "line %u of isolate's meta file is invalid: %s", number,
                             fields[id].key);
        seen[id] = true;
    }
    *ret = meta;
    return 0;
}
