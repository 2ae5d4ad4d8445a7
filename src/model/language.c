/*
 * language: the registry made of a folder of files, and the filling of commands.
 */
#include "model/language.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "model/language_file.h"

#define LANGUAGES_MAX 200
#define ARENA_BYTES_MAX ((size_t)64 << 20)
#define HEAP_PERCENT 60 /* of the memory limit: a runtime needs the rest for itself, its threads and its code */

static bool has_suffix(struct text name, struct text suffix)
{
    return name.len >= suffix.len && text_equal((struct text){ name.at + name.len - suffix.len, suffix.len }, suffix);
}

static int is_language_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && has_suffix(text_of(entry->d_name), TEXT(".conf"));
}

static int compare_languages(const void *a, const void *b)
{
    const struct language *one = a, *other = b;

    return strcmp(one->id.at, other->id.at);
}

static bool has_name(const struct language *language, struct text name)
{
    if (text_equal_ignore_case(language->id, name))
        return true;
    for (size_t i = 0; i < language->aliases_len; i++)
        if (text_equal_ignore_case(language->aliases[i], name))
            return true;
    return false;
}

/* `of` names a language itself, so that there is one step from a name to its versions. */
static int check_of(const struct languages *languages, struct error *err)
{
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *one = &languages->list[i];
        size_t k = 0;
        while (k < languages->len && !(text_equal(languages->list[k].id, one->of) && languages->list[k].of.len == 0))
            k++;
        if (one->of.len > 0 && k == languages->len)
            return error_set(err, ERROR_SETUP, 0, "language %.31s: of: there is no language \"%.40s\"", one->id.at,
                             one->of.at);
    }
    return 0;
}

/* No two languages may answer to one name. */
static int check_unique(const struct languages *languages, struct error *err)
{
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *one = &languages->list[i];
        for (size_t j = 0; j < languages->len; j++) {
            const struct language *other = &languages->list[j];
            for (size_t k = 0; i != j && k <= one->aliases_len; k++) {
                struct text name = k == one->aliases_len ? one->id : one->aliases[k];
                if (has_name(other, name))
                    return error_set(err, ERROR_SETUP, 0, "languages %.31s and %.31s both answer to \"%.40s\"",
                                     one->id.at, other->id.at, name.at);
            }
        }
    }
    return 0;
}

static void free_entries(struct dirent ***entries, int len)
{
    for (int i = 0; i < len; i++)
        free((*entries)[i]);
    free(*entries);
}

static int read_all(const char *folder, const struct config *config, struct languages *languages, struct error *err)
{
    struct dirent **entries;
    int len = scandir(folder, &entries, is_language_file, alphasort);
    int result = -1;

    if (len < 0)
        return error_set(err, ERROR_SETUP, errno,
                         "read the folder of languages, %s (EVALX_LANGUAGES=FOLDER names another)", folder);
    if (len == 0 || len > LANGUAGES_MAX) {
        (void)error_set(err, ERROR_SETUP, 0, "%s: expected 1 to %d language files (*.conf), found %d", folder,
                        LANGUAGES_MAX, len);
        goto done;
    }
    languages->list = arena_alloc_array(&languages->arena, (size_t)len, sizeof *languages->list, err);
    if (languages->list == NULL)
        goto done;
    for (int i = 0; i < len; i++) {
        char path[4096];
        if (snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) >= (int)sizeof path) {
            (void)error_set(err, ERROR_SETUP, ENAMETOOLONG, "%s", folder);
            goto done;
        }
        if (language_file_read(path, config, &languages->arena, &languages->list[i], err) < 0)
            goto done;
        languages->len++;
    }
    result = 0;

done:
    free_entries(&entries, len);
    return result;
}

int languages_load(const char *folder, const struct config *config, struct languages *ret, struct error *err)
{
    struct languages languages = { 0 };

    arena_init(&languages.arena, ARENA_BYTES_MAX);
    if (read_all(folder, config, &languages, err) < 0 || check_unique(&languages, err) < 0 ||
        check_of(&languages, err) < 0) {
        languages_done(&languages);
        return -1;
    }
    qsort(languages.list, languages.len, sizeof *languages.list, compare_languages);
    *ret = languages;
    return 0;
}

void languages_done(struct languages *languages)
{
    arena_done(&languages->arena);
    *languages = (struct languages){ 0 };
}

const struct language *languages_find(const struct languages *languages, struct text name)
{
    for (size_t i = 0; i < languages->len; i++)
        if (has_name(&languages->list[i], name))
            return &languages->list[i];
    return NULL;
}

static bool is_any_version(struct text version)
{
    return text_equal(version, TEXT("*")) || text_equal_ignore_case(version, TEXT("latest"));
}

bool language_answers_to(const struct language *language, struct text version)
{
    if (is_any_version(version) || text_equal(version, language->version))
        return true;
    for (size_t i = 0; i < language->versions_len; i++)
        if (text_equal(version, language->versions[i]))
            return true;
    return false;
}

const struct language *languages_choose(const struct languages *languages, struct text name, struct text version)
{
    const struct language *named = languages_find(languages, name), *nearest = NULL;

    if (named == NULL || (named->available && (is_any_version(version) || text_equal(named->version, version))))
        return named;
    /* The language itself lists every version it may stand in for; those `of` it only what they are nearer to. */
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *other = &languages->list[i];
        if (other->of.len == 0 || !text_equal(other->of, named->id) || !other->available)
            continue;
        if (text_equal(other->version, version))
            return other;
        if (nearest == NULL && language_answers_to(other, version))
            nearest = other;
    }
    return nearest != NULL ? nearest : named;
}

/* What follows the last dot, with the dot; empty where there is none. */
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
