/* command: see the header. */
#include "model/command.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define HEAP_PERCENT 60 /* of the memory limit; a runtime needs the rest for itself, its threads and its code */

int command_check(const struct command *command, const char *key, bool has_binary, bool has_prepared, struct error *err)
{
    static const char *const known[] = { "{source}", "{binary}",   "{memory_mb}",  "{heap_mb}",
                                         "{main}",   "{prepared}", "{if_prepared}" };

    if (command->words_len > 0 && command->words[0].at[0] != '/')
        return error_set(err, ERROR_SETUP, 0, "%s: expected an absolute path as its first word", key);
    for (size_t i = 0; i < command->words_len; i++) {
        const char *word = command->words[i].at;
        if (i > 0 && (strcmp(word, "{args}") == 0 || strcmp(word, "{files}") == 0))
            continue;
        for (const char *brace = strchr(word, '{'); brace != NULL; brace = strchr(brace + 1, '{')) {
            size_t k = 0;
            while (k < sizeof known / sizeof *known && strncmp(brace, known[k], strlen(known[k])) != 0)
                k++;
            if (k == sizeof known / sizeof *known)
                return error_set(err, ERROR_SETUP, 0, "%s: \"%.40s\" has no such placeholder", key, word);
            if (!has_prepared && strstr(known[k], "prepared}") != NULL)
                return error_set(err, ERROR_SETUP, 0, "%s: %s is used, but the language has no [prepare] script", key,
                                 known[k]);
            if (!has_binary && strcmp(known[k], "{binary}") == 0)
                return error_set(err, ERROR_SETUP, 0, "%s: {binary} is used, but no binary is named", key);
        }
    }
    return 0;
}

/* The part from the last dot on; empty if there is no dot. */
static struct text suffix_of(struct text name)
{
    const char *dot = name.len > 0 ? memrchr(name.at, '.', name.len) : NULL;

    return dot != NULL ? (struct text){ dot, name.len - (size_t)(dot - name.at) } : TEXT("");
}

static int append_number(struct buf *out, uint64_t number, struct error *err)
{
    return buf_printf(out, err, "%" PRIu64, number);
}

static int append_placeholder(struct buf *out, struct text name, const struct command_values *values, struct error *err)
{
    uint64_t memory_mb = values->memory_bytes >> 20;

    if (text_equal(name, TEXT("source")))
        return buf_append_text(out, values->source, err);
    if (text_equal(name, TEXT("binary")))
        return buf_append_text(out, values->binary, err);
    if (text_equal(name, TEXT("prepared")))
        return buf_append_text(out, values->prepared, err);
    if (text_equal(name, TEXT("if_prepared")))
        return 0;
    if (text_equal(name, TEXT("main")))
        return buf_append(out, values->source.at, values->source.len - suffix_of(values->source).len, err);
    if (text_equal(name, TEXT("memory_mb")))
        return append_number(out, memory_mb > 0 ? memory_mb : 1, err);
    if (text_equal(name, TEXT("heap_mb")))
        return append_number(out, memory_mb * HEAP_PERCENT / 100 > 0 ? memory_mb * HEAP_PERCENT / 100 : 1, err);
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

int command_expand(const struct command *command, const struct command_values *values, struct arena *arena,
                   char ***ret_argv, struct error *err)
{
    size_t most = 1; /* every word becomes at most as many as it stands for */
    size_t len = 0;

    for (size_t i = 0; i < command->words_len; i++)
        most += text_equal(command->words[i], TEXT("{args}"))    ? values->args_len
                : text_equal(command->words[i], TEXT("{files}")) ? values->files_len
                                                                 : 1;
    char **argv = arena_alloc_array(arena, most, sizeof *argv, err);
    if (argv == NULL)
        return -1;
    for (size_t i = 0; i < command->words_len; i++) {
        struct text word = command->words[i];
        if (text_equal(word, TEXT("{args}"))) {
            for (size_t k = 0; k < values->args_len; k++)
                if (copy_word(values->args[k], "", arena, &argv[len++], err) < 0)
                    return -1;
        } else if (text_equal(word, TEXT("{files}"))) {
            for (size_t k = 0; k < values->files_len; k++) {
                struct text name = values->files[k];
                if (text_equal(suffix_of(name), suffix_of(values->source)) &&
                    copy_word(name, name.at[0] == '-' || name.at[0] == '@' ? "./" : "", arena, &argv[len++], err) < 0)
                    return -1;
            }
        } else if (values->prepared.len == 0 &&
                   (strstr(word.at, "{prepared}") != NULL || strstr(word.at, "{if_prepared}") != NULL)) {
            continue;
        } else if (expand_word(word, values, arena, &argv[len++], err) < 0) {
            return -1;
        }
    }
    assert(len < most);
    *ret_argv = argv;
    return 0;
}
