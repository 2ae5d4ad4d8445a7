/* language_file: makes languages of the values in a language file (language_layers.h) and checks them. */
#include "model/language_file.h"

#include <errno.h>
#include <linux/limits.h> /* limits.h would be ours */
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "config/ini_file.h"
#include "model/error_pattern.h"
#include "model/language_choice.h"
#include "model/language_layers.h"
#include "model/submission.h"

#define HEAP_DEFAULT "60%" /* a runtime needs the rest for itself, its threads and its code */

static int block_of(struct arena *arena, const struct language_layer *layer, enum key key, struct text *ret,
                    struct error *err)
{
    const struct value *value = &layer->values[key];
    size_t bytes = 0;

    for (size_t i = 0; i < value->parts_len; i++)
        bytes += value->parts[i].len + 1;
    char *at = arena_alloc(arena, bytes + 1, err);
    if (at == NULL)
        return -1;
    *ret = (struct text){ at, bytes };
    for (size_t i = 0; i < value->parts_len; i++) {
        memcpy(at, value->parts[i].at, value->parts[i].len);
        at += value->parts[i].len;
        *at++ = '\n';
    }
    return 0;
}

/* The script of [prepare]: in the file itself, or in the folder prepare/ beside it. */
static int script_of(const char *language_path, const struct language_layer *layer, struct arena *arena,
                     struct text *ret, struct error *err)
{
    auto_buf struct buf content = { 0 };
    struct text name = layer_line(layer, KEY_script_file);
    bool has_script = layer->values[KEY_script].parts_len > 0;
    char path[PATH_MAX];

    if (name.len == 0)
        return block_of(arena, layer, KEY_script, ret, err);
    if (has_script)
        return error_set(err, ERROR_SETUP, 0, "script and script_file: expected one of them");
    if (!file_name_is_valid(name) || memchr(name.at, '/', name.len) || language_path == NULL)
        return error_set(err, ERROR_SETUP, 0, "script_file: expected the name of a file in prepare/");
    const char *slash = strrchr(language_path, '/');
    int folder_len = slash == NULL ? 0 : (int)(slash + 1 - language_path);
    if (snprintf(path, sizeof path, "%.*sprepare/%s", folder_len, language_path, name.at) >= (int)sizeof path)
        return error_set(err, ERROR_SETUP, ENAMETOOLONG, "script_file");
    if (ini_file_text(path, &content, err) < 0)
        return error_within(err, "script_file");
    if (!text_is_utf8(buf_text(&content)) || memchr(content.at, '\0', content.len) != NULL)
        return error_set(err, ERROR_SETUP, 0, "%s is not UTF-8 text", path);
    return arena_copy(arena, buf_text(&content), ret, err);
}

static bool is_made_of(struct text text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0' || strchr(allowed, text.at[i]) == NULL)
            return false;
    return true;
}

static int check_names(const struct language *language, struct error *err)
{
    if (language->id.len == 0 || language->id.len > LANGUAGE_FILE_ID_BYTES_MAX ||
        !is_made_of(language->id, "abcdefghijklmnopqrstuvwxyz0123456789_+#.-") ||
        text_equal(language->id, TEXT(QUEUE_MIXED)))
        return error_set(err, ERROR_SETUP, 0,
                         "id: expected 1 to %d characters from a-z, 0-9 and _+#.-; \"%s\" is reserved",
                         LANGUAGE_FILE_ID_BYTES_MAX, QUEUE_MIXED);
    if (language->name.len == 0 || language->version.len == 0 || language->run.words_len == 0)
        return error_set(err, ERROR_SETUP, 0, "name, version and run are required");
    /* The image is a folder's name beneath the folder of images. */
    if (language->image.len == 0 || language->image.len > 64 || language->image.at[0] == '.' ||
        !is_made_of(language->image, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-"))
        return error_set(err, ERROR_SETUP, 0, "image: expected the name of an image");
    if (!file_name_is_valid(language->source_file) || memchr(language->source_file.at, '/', language->source_file.len))
        return error_set(err, ERROR_SETUP, 0, "source: expected the name of a file");
    if (language->binary_file.len > 0 && (!file_name_is_valid(language->binary_file) ||
                                          memchr(language->binary_file.at, '/', language->binary_file.len) ||
                                          text_equal(language->binary_file, language->source_file)))
        return error_set(err, ERROR_SETUP, 0, "binary: expected the name of a file other than the source");
    return 0;
}

static int check_lists(const struct language *language, struct error *err)
{
    for (size_t i = 0; i < language->env_len; i++) {
        const char *sign = strchr(language->env[i].at, '=');
        if (sign == NULL || sign == language->env[i].at)
            return error_set(err, ERROR_SETUP, 0, "env: expected NAME=value, got \"%.60s\"", language->env[i].at);
    }
    for (size_t i = 0; i < language->needs_len; i++)
        if (language->needs[i].at[0] != '/')
            return error_set(err, ERROR_SETUP, 0, "needs: expected absolute paths, got \"%.60s\"",
                             language->needs[i].at);
    for (size_t i = 0; i < language->depends_len; i++)
        if (language->depends[i].at[0] != '/')
            return error_set(err, ERROR_SETUP, 0, "depends: expected absolute paths, got \"%.60s\"",
                             language->depends[i].at);
    return 0;
}

static int class_of(struct text word, enum run_class *ret, struct error *err)
{
    if (word.len == 0 || text_equal(word, TEXT("native")))
        *ret = RUN_CLASS_NATIVE;
    else if (text_equal(word, TEXT("runtime")))
        *ret = RUN_CLASS_RUNTIME;
    else
        return error_set(err, ERROR_SETUP, 0, "class: expected native or runtime, got \"%.40s\"", word.at);
    return 0;
}

/* What `suffixes`, `crlf`, `heap`, `stack` and `syntax_error` say. */
static int take_source_keys(const struct language_layer *layer, struct arena *arena, struct language *language,
                            struct error *err)
{
    struct text crlf = layer_line(layer, KEY_crlf), heap = layer_line(layer, KEY_heap);
    struct text stack = layer_line(layer, KEY_stack);

    if (language->suffixes_len == 0) {
        language->suffixes = arena_alloc_array(arena, 1, sizeof *language->suffixes, err);
        if (language->suffixes == NULL)
            return -1;
        language->suffixes[0] = command_suffix(language->source_file);
        language->suffixes_len = 1;
    }
    for (size_t i = 0; i < language->suffixes_len; i++)
        if (language->suffixes[i].len > 0 && language->suffixes[i].at[0] != '.')
            return error_set(err, ERROR_SETUP, 0, "suffixes: expected words such as .c, got \"%.40s\"",
                             language->suffixes[i].at);
    language->crlf_convert = text_equal(crlf, TEXT("convert"));
    if (crlf.len > 0 && !language->crlf_convert && !text_equal(crlf, TEXT("keep")))
        return error_set(err, ERROR_SETUP, 0, "crlf: expected convert or keep, got \"%.40s\"", crlf.at);
    language->stack_follows_memory = text_equal(stack, TEXT("memory"));
    if (stack.len > 0 && !language->stack_follows_memory)
        return error_set(err, ERROR_SETUP, 0, "stack: expected memory, got \"%.40s\"", stack.at);
    if (heap_share_parse(heap.len > 0 ? heap : TEXT(HEAP_DEFAULT), &language->heap, err) < 0)
        return error_within(err, "heap");
    for (size_t i = 0; i < language->syntax_error_len; i++)
        if (error_pattern_check(language->syntax_error[i], err) < 0)
            return error_within(err, "syntax_error");
    return 0;
}

static int check_commands(const struct language *language, struct error *err)
{
    struct command_knows knows = { .binary = language->binary_file.len > 0,
                                   .prepared = language->prepare_script.len > 0 };
    const struct text assertions = TEXT("{assertions}");

    if (command_check(&language->compile, "compile", knows, err) < 0 ||
        command_check(&language->run, "run", knows, err) < 0)
        return -1;
    for (size_t i = 0; i < language->env_len; i++)
        if (command_check_env(language->env[i], knows, err) < 0)
            return -1;
    bool has_place = command_has_word(&language->compile, assertions) || command_has_word(&language->run, assertions);
    if (has_place != (language->assertions_len + language->no_assertions_len > 0))
        return error_set(err, ERROR_SETUP, 0,
                         "assertions: expected {assertions} in compile or run, and assertions or no_assertions");
    return 0;
}

#define WORDS(field, key) .field = values[KEY_##key].parts, .field##_len = values[KEY_##key].parts_len

static int make_language(const char *path, const struct language_layer *layer, struct arena *arena,
                         struct language *ret, struct error *err)
{
    const struct value *values = layer->values;
    struct language language = {
        .id = layer_line(layer, KEY_id),
        .name = layer_line(layer, KEY_name),
        .version = layer_line(layer, KEY_version),
        .of = layer_line(layer, KEY_of),
        WORDS(aliases, aliases),
        WORDS(versions, versions),
        WORDS(standards, standards),
        .one_major = text_equal(layer_line(layer, KEY_one_major), TEXT("yes")),
        .image = layer_line(layer, KEY_image),
        .source_file = layer_line(layer, KEY_source),
        .binary_file = layer_line(layer, KEY_binary),
        .compile = { WORDS(words, compile) },
        .run = { WORDS(words, run) },
        WORDS(suffixes, suffixes),
        WORDS(assertions, assertions),
        WORDS(no_assertions, no_assertions),
        WORDS(syntax_error, syntax_error),
        .prestart = text_equal(layer_line(layer, KEY_prestart), TEXT("yes")),
        WORDS(cold_if, cold_if),
        .heap_full = layer_line(layer, KEY_heap_full),
        WORDS(env, env),
        WORDS(needs, needs),
        .recipe = layer_recipe(layer),
        .limits = layer->limits[LIMITS_RUN],
        .compile_limits = layer->limits[LIMITS_COMPILE],
        WORDS(depends, depends),
        .prepare_limits = layer->limits[LIMITS_PREPARE],
    };

    if (check_names(&language, err) < 0 || check_lists(&language, err) < 0 ||
        language_check_versions(&language, err) < 0 ||
        class_of(layer_line(layer, KEY_class), &language.class, err) < 0 ||
        script_of(path, layer, arena, &language.prepare_script, err) < 0 ||
        take_source_keys(layer, arena, &language, err) < 0 || check_commands(&language, err) < 0 ||
        block_of(arena, layer, KEY_code, &language.hello_code, err) < 0 ||
        block_of(arena, layer, KEY_stdin, &language.hello_stdin, err) < 0 ||
        block_of(arena, layer, KEY_stdout, &language.hello_stdout, err) < 0)
        return -1;
    *ret = language;
    return 0;
}

static int read_languages(const char *path, struct text text, const char *name, const struct config *config,
                          const struct language_layer *defaults, struct languages *languages, struct error *err)
{
    struct language_layer *first;

    if (language_layers_read(path, text, name, config, defaults, &languages->arena, &first, err) < 0)
        return -1;
    for (struct language_layer *layer = first; layer != NULL; layer = layer->next) {
        struct language *language = &languages->list[languages->len];
        if (languages->len == LANGUAGES_LIST_MAX)
            return error_set(err, ERROR_SETUP, 0, "%s: more than %d languages", name, LANGUAGES_LIST_MAX);
        if (make_language(path, layer, &languages->arena, language, err) < 0) {
            struct text version = layer_line(layer, KEY_version);
            if (layer != first)
                error_within(err, "[version %.*s]", TEXT_ARG(version));
            error_within(err, "%s", name);
            err->kind = ERROR_SETUP; /* the operator's to fix, also a full arena */
            return -1;
        }
        languages->len++;
    }
    return 0;
}

int language_file_read(const char *path, const struct config *config, const struct language_layer *defaults,
                       struct languages *languages, struct error *err)
{
    return read_languages(path, (struct text){ 0 }, path, config, defaults, languages, err);
}

int language_text_read(struct text text, const char *name, const struct config *config,
                       const struct language_layer *defaults, struct languages *languages, struct error *err)
{
    return read_languages(NULL, text, name, config, defaults, languages, err);
}
