/* command: see the header. */
#include "model/command.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "model/limits.h"

int heap_share_parse(struct text text, struct heap_share *ret, struct error *err)
{
    const char *sign = text.len > 0 ? memchr(text.at, '%', text.len) : NULL;
    size_t number_len = sign != NULL ? (size_t)(sign - text.at) : 0;

    *ret = (struct heap_share){ 0 };
    if (sign != NULL && text_parse_u64((struct text){ text.at, number_len }, &ret->percent) == 0 && ret->percent >= 1 &&
        ret->percent <= 100) {
        const char *rest = sign + 1 + strspn(sign + 1, " ");
        if (*rest == '\0' ||
            (*rest == '-' && limits_parse_memory(rest + 1 + strspn(rest + 1, " "), &ret->less_bytes, err) == 0))
            return 0;
    }
    return error_set(err, ERROR_SETUP, 0,
                     "expected a part of the memory limit such as 85%% or 100%% - 40m, got \"%.40s\"", text.at);
}

/* Whole MiB; at least 1, because 0 has another meaning to some runtimes. */
static uint64_t heap_mb(const struct command_values *values)
{
    uint64_t memory = values->memory_bytes, percent = values->heap.percent;
    uint64_t bytes = memory / 100 * percent + memory % 100 * percent / 100; /* the product may not fit */

    bytes = bytes > values->heap.less_bytes ? bytes - values->heap.less_bytes : 0;
    return bytes >> 20 > 0 ? bytes >> 20 : 1;
}

static int check_placeholders(const char *word, const char *key, struct command_knows knows, struct error *err)
{
    static const char *const known[] = { "{source}", "{binary}",   "{memory_mb}", "{heap_mb}",  "{heap_hex}",
                                         "{main}",   "{stack_kb}", "{stack_mb}",  "{prepared}", "{if_prepared}" };

    for (const char *brace = strchr(word, '{'); brace != NULL; brace = strchr(brace + 1, '{')) {
        size_t k = 0;
        while (k < sizeof known / sizeof *known && strncmp(brace, known[k], strlen(known[k])) != 0)
            k++;
        if (k == sizeof known / sizeof *known)
            return error_set(err, ERROR_SETUP, 0, "%s: \"%.40s\" has no such placeholder", key, word);
        if (!knows.prepared && strstr(known[k], "prepared}") != NULL)
            return error_set(err, ERROR_SETUP, 0, "%s: %s is used, but the language has no [prepare] script", key,
                             known[k]);
        if (!knows.binary && strcmp(known[k], "{binary}") == 0)
            return error_set(err, ERROR_SETUP, 0, "%s: {binary} is used, but no binary is named", key);
    }
    return 0;
}

int command_check(const struct command *command, const char *key, struct command_knows knows, struct error *err)
{
    if (command->words_len > 0 && command->words[0].at[0] != '/')
        return error_set(err, ERROR_SETUP, 0, "%s: expected an absolute path as its first word", key);
    for (size_t i = 0; i < command->words_len; i++) {
        struct text word = command->words[i];
        bool is_list = text_equal(word, TEXT("{args}")) || text_equal(word, TEXT("{files}")) ||
                       text_equal(word, TEXT("{assertions}"));
        if ((i == 0 || !is_list) && check_placeholders(word.at, key, knows, err) < 0)
            return -1;
    }
    return 0;
}

int command_check_env(struct text line, struct command_knows knows, struct error *err)
{
    return check_placeholders(line.at, "env", knows, err);
}

bool command_has_word(const struct command *command, struct text word)
{
    for (size_t i = 0; i < command->words_len; i++)
        if (text_equal(command->words[i], word))
            return true;
    return false;
}

struct text command_suffix(struct text name)
{
    const char *dot = name.len > 0 ? memrchr(name.at, '.', name.len) : NULL;

    return dot != NULL ? (struct text){ dot, name.len - (size_t)(dot - name.at) } : TEXT("");
}

bool command_has_suffix(struct text name, const struct text *suffixes, size_t suffixes_len)
{
    struct text suffix = command_suffix(name);

    for (size_t i = 0; i < suffixes_len; i++)
        if (text_equal(suffix, suffixes[i]))
            return true;
    return false;
}

static int append_placeholder(struct buf *out, struct text name, const struct command_values *values, struct error *err)
{
    uint64_t stack = values->stack_bytes / 8 * 7; /* a runtime that reports the overflow itself needs the rest */
    const struct {
        struct text name;
        uint64_t number;
    } numbers[] = {
        { TEXT("memory_mb"), values->memory_bytes >> 20 > 0 ? values->memory_bytes >> 20 : 1 },
        { TEXT("heap_mb"), heap_mb(values) },
        { TEXT("stack_kb"), stack >> 10 > 0 ? stack >> 10 : 1 },
        { TEXT("stack_mb"), stack >> 20 > 0 ? stack >> 20 : 1 },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (text_equal(name, numbers[i].name))
            return buf_printf(out, err, "%" PRIu64, numbers[i].number);
    if (text_equal(name, TEXT("heap_hex")))
        return buf_printf(out, err, "%" PRIx64, heap_mb(values));
    if (text_equal(name, TEXT("source")))
        return buf_append_text(out, values->source, err);
    if (text_equal(name, TEXT("binary")))
        return buf_append_text(out, values->binary, err);
    if (text_equal(name, TEXT("prepared")))
        return buf_append_text(out, values->prepared, err);
    if (text_equal(name, TEXT("if_prepared")))
        return 0;
    if (text_equal(name, TEXT("main")))
        return buf_append(out, values->source.at, values->source.len - command_suffix(values->source).len, err);
    return error_set(err, ERROR_BUG, 0, "a command has the placeholder {%.*s}", TEXT_ARG(name));
}

/* One word with its placeholders filled, in the arena. */
static int expand_word(struct text word, const struct command_values *values, struct arena *arena, char **ret,
                       struct error *err)
{
    auto_buf struct buf filled = { .max = 64u << 10 };
    struct text copy;

    for (size_t at = 0; at < word.len;) {
        const char *open = memchr(word.at + at, '{', word.len - at);
        const char *close = open != NULL ? memchr(open, '}', word.len - (size_t)(open - word.at)) : NULL;
        size_t plain = close != NULL ? (size_t)(open - word.at) - at : word.len - at;
        if (buf_append(&filled, word.at + at, plain, err) < 0)
            return -1;
        at += plain;
        if (close == NULL)
            break;
        struct text name = { open + 1, (size_t)(close - open) - 1 };
        if (append_placeholder(&filled, name, values, err) < 0)
            return -1;
        at += name.len + 2;
    }
    if (arena_copy(arena, buf_text(&filled), &copy, err) < 0)
        return -1;
    *ret = (char *)(uintptr_t)copy.at; /* execve wants it so; the arena is writable */
    return 0;
}

static int copy_word(struct text word, const char *before, struct arena *arena, char **ret, struct error *err)
{
    size_t before_len = strlen(before);
    char *at = arena_alloc(arena, before_len + word.len + 1, err);

    if (at == NULL)
        return -1;
    memcpy(at, before, before_len);
    if (word.len > 0)
        memcpy(at + before_len, word.at, word.len);
    *ret = at;
    return 0;
}

/* Not prepared, so the whole word is left out. */
static bool is_left_out(struct text word, const struct command_values *values)
{
    return values->prepared.len == 0 &&
           (strstr(word.at, "{prepared}") != NULL || strstr(word.at, "{if_prepared}") != NULL);
}

/* What a whole word that stands for a list becomes; NULL for other words. */
static const struct text *list_of(struct text word, const struct command_values *values, size_t *ret_len)
{
    static const struct text none[1];
    const struct text *list = NULL;

    *ret_len = 0;
    if (text_equal(word, TEXT("{args}"))) {
        list = values->args;
        *ret_len = values->args_len;
    } else if (text_equal(word, TEXT("{files}"))) {
        list = values->files;
        *ret_len = values->files_len;
    } else if (text_equal(word, TEXT("{assertions}"))) {
        list = values->assertions;
        *ret_len = values->assertions_len;
    } else {
        return NULL;
    }
    return list != NULL ? list : none;
}

int command_expand(const struct command *command, const struct command_values *values, struct arena *arena,
                   char ***ret_argv, struct error *err)
{
    size_t most = 1, len = 0, list_len; /* every word becomes at most as many as it stands for */

    for (size_t i = 0; i < command->words_len; i++)
        most += list_of(command->words[i], values, &list_len) != NULL ? list_len : 1;
    char **argv = arena_alloc_array(arena, most, sizeof *argv, err);
    if (argv == NULL)
        return -1;
    for (size_t i = 0; i < command->words_len; i++) {
        struct text word = command->words[i];
        const struct text *list = list_of(word, values, &list_len);
        bool is_files = text_equal(word, TEXT("{files}"));
        if (list == NULL && !is_left_out(word, values) && expand_word(word, values, arena, &argv[len++], err) < 0)
            return -1;
        for (size_t k = 0; k < list_len; k++) {
            if (is_files && !command_has_suffix(list[k], values->suffixes, values->suffixes_len))
                continue;
            const char *before = is_files && (list[k].at[0] == '-' || list[k].at[0] == '@') ? "./" : "";
            if (copy_word(list[k], before, arena, &argv[len++], err) < 0)
                return -1;
        }
    }
    assert(len < most);
    *ret_argv = argv;
    return 0;
}

int command_expand_env(const struct text *lines, size_t lines_len, const struct command_values *values,
                       struct arena *arena, char ***ret_env, struct error *err)
{
    char **env = arena_alloc_array(arena, lines_len + 1, sizeof *env, err);
    size_t len = 0;

    if (env == NULL)
        return -1;
    for (size_t i = 0; i < lines_len; i++)
        if (!is_left_out(lines[i], values) && expand_word(lines[i], values, arena, &env[len++], err) < 0)
            return -1;
    *ret_env = env;
    return 0;
}
