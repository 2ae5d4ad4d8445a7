/*
 * language_file: reads one language.
 *
 * A table says for each key where it goes and what it holds.  Values are collected line by line, since a key may go
 * on over several lines, and checked as a whole when the file has ended.
 */
#include "model/language_file.h"

#include <assert.h>
#include <errno.h>
#include <linux/limits.h> /* limits.h would be ours */
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "config/config.h"
#include "config/ini_file.h"
#include "model/submission.h"

enum shape {
    SHAPE_LINE,  /* one line of text */
    SHAPE_WORDS, /* words split at blanks, over any number of lines */
    SHAPE_LINES, /* one entry a line */
    SHAPE_BLOCK, /* lines joined with newlines; a '|' at the start of a line keeps the blanks behind it */
};

#define KEYS(X)                                                                                                        \
    X("", id, SHAPE_LINE)                                                                                              \
    X("", name, SHAPE_LINE)                                                                                            \
    X("", version, SHAPE_LINE)                                                                                         \
    X("", of, SHAPE_LINE)                                                                                              \
    X("", aliases, SHAPE_WORDS)                                                                                        \
    X("", versions, SHAPE_WORDS)                                                                                       \
    X("", image, SHAPE_LINE)                                                                                           \
    X("", class, SHAPE_LINE)                                                                                           \
    X("", source, SHAPE_LINE)                                                                                          \
    X("", binary, SHAPE_LINE)                                                                                          \
    X("", compile, SHAPE_WORDS)                                                                                        \
    X("", run, SHAPE_WORDS)                                                                                            \
    X("", warm, SHAPE_LINE)                                                                                            \
    X("", cold_if, SHAPE_WORDS)                                                                                        \
    X("", heap_full, SHAPE_LINE)                                                                                       \
    X("", env, SHAPE_LINES)                                                                                            \
    X("", needs, SHAPE_WORDS)                                                                                          \
    X("image", suite, SHAPE_LINE) /* these five are evalx-images' */                                                   \
    X("image", on, SHAPE_LINE)                                                                                         \
    X("image", packages, SHAPE_WORDS)                                                                                  \
    X("image", npm, SHAPE_WORDS)                                                                                       \
    X("image", setup, SHAPE_LINES)                                                                                     \
    X("prepare", depends, SHAPE_WORDS)                                                                                 \
    X("prepare", script, SHAPE_BLOCK)                                                                                  \
    X("prepare", script_file, SHAPE_LINE)                                                                              \
    X("hello", code, SHAPE_BLOCK)                                                                                      \
    X("hello", stdin, SHAPE_BLOCK)                                                                                     \
    X("hello", stdout, SHAPE_BLOCK)

enum key {
#define X(section, key, shape) KEY_##key,
    KEYS(X)
#undef X
        KEY_COUNT_,
};

static const struct {
    const char *section, *name;
    enum shape shape;
} keys[] = {
#define X(in, key, how) { in, #key, how },
    KEYS(X)
#undef X
};

struct value {
    bool is_there;
    struct text *parts; /* words or lines */
    size_t parts_len;
};

struct reading {
    const char *path; /* NULL: text that is in no folder */
    struct arena *arena;
    struct value values[KEY_COUNT_];
    struct limits limits, compile_limits, prepare_limits;
    uint32_t limits_seen, compile_limits_seen, prepare_limits_seen; /* one bit a key, so that a key said twice shows */
    struct limits ceiling;
};

static int add_part(struct reading *reading, enum key key, struct text part, struct error *err)
{
    struct value *value = &reading->values[key];

    if (value->parts == NULL) {
        value->parts = arena_alloc_array(reading->arena, LANGUAGE_WORDS_MAX, sizeof *value->parts, err);
        if (value->parts == NULL)
            return -1;
    }
    if (value->parts_len == LANGUAGE_WORDS_MAX)
        return error_set(err, ERROR_SETUP, 0, "%s: more than %d words or lines", keys[key].name, LANGUAGE_WORDS_MAX);
    return arena_copy(reading->arena, part, &value->parts[value->parts_len++], err);
}

static int add_words(struct reading *reading, enum key key, const char *line, struct error *err)
{
    for (line += strspn(line, " \t"); *line != '\0'; line += strspn(line, " \t")) {
        size_t len = strcspn(line, " \t");
        if (add_part(reading, key, (struct text){ line, len }, err) < 0)
            return -1;
        line += len;
    }
    return 0;
}

static int add_line(struct reading *reading, enum key key, const char *line, struct error *err)
{
    switch (keys[key].shape) {
    case SHAPE_LINE:
        return add_part(reading, key, text_of(line), err);
    case SHAPE_WORDS:
        return add_words(reading, key, line, err);
    case SHAPE_LINES:
        return line[0] == '\0' ? 0 : add_part(reading, key, text_of(line), err);
    case SHAPE_BLOCK:
        return add_part(reading, key, text_of(line[0] == '|' ? line + 1 : line), err);
    }
    return error_set(err, ERROR_BUG, 0, "a key without a shape");
}

/* "cpu_time_ms = 5000", "memory_bytes = 512m" in [limits], [compile_limits] or [prepare_limits]. */
static int take_limit(struct limits *limits, const struct limits *ceiling, uint32_t *seen,
                      const struct ini_entry *entry, struct error *err)
{
    size_t field = 0;
    uint64_t number;

    while (field < LIMIT_FIELDS_LEN &&
           (limit_fields[field].key == NULL || strcmp(entry->key, limit_fields[field].key) != 0))
        field++;
    if (field == LIMIT_FIELDS_LEN)
        return error_set(err, ERROR_SETUP, 0, "there is no limit \"%.40s\"", entry->key);
    if ((*seen & 1u << field) != 0)
        return error_set(err, ERROR_SETUP, 0, "%s is there twice", entry->key);
    *seen |= 1u << field;

    uint64_t most = limits_get(ceiling, field);
    if (limits_parse_memory(entry->value, &number, err) < 0) {
        err->kind = ERROR_SETUP;
        return error_within(err, "%s", entry->key);
    }
    if (number < limit_fields[field].floor)
        return error_set(err, ERROR_SETUP, 0, "%s = %.40s: expected at least %llu", entry->key, entry->value,
                         (unsigned long long)limit_fields[field].floor);
    if (__builtin_mul_overflow(number, limit_fields[field].factor, &number) || number > most)
        number = most;
    limits_set(limits, field, number);
    return 0;
}

static int take_entry(void *context, const struct ini_entry *entry, struct error *err)
{
    struct reading *reading = context;

    if (strcmp(entry->section, "limits") == 0 && !entry->continues)
        return take_limit(&reading->limits, &reading->ceiling, &reading->limits_seen, entry, err);
    /* The operator sets these; no ceiling applies. */
    if (strcmp(entry->section, "compile_limits") == 0 && !entry->continues)
        return take_limit(&reading->compile_limits, &limits_unbounded, &reading->compile_limits_seen, entry, err);
    if (strcmp(entry->section, "prepare_limits") == 0 && !entry->continues)
        return take_limit(&reading->prepare_limits, &limits_unbounded, &reading->prepare_limits_seen, entry, err);

    for (enum key key = 0; key < KEY_COUNT_; key++) {
        if (strcmp(entry->section, keys[key].section) != 0 || strcmp(entry->key, keys[key].name) != 0)
            continue;
        struct value *value = &reading->values[key];
        if (value->is_there && !entry->continues)
            return error_set(err, ERROR_SETUP, 0, "%s is there twice", entry->key);
        if (entry->continues && keys[key].shape == SHAPE_LINE)
            return error_set(err, ERROR_SETUP, 0, "%s: expected one line", entry->key);
        value->is_there = true;
        /* "code =" alone on its line: the block begins on the next. */
        if (keys[key].shape == SHAPE_BLOCK && !entry->continues && entry->value[0] == '\0')
            return 0;
        return add_line(reading, key, entry->value, err);
    }
    return error_set(err, ERROR_SETUP, 0, "there is no key \"%.40s\" in section [%.40s]", entry->key, entry->section);
}

static struct text line_of(const struct reading *reading, enum key key)
{
    const struct value *value = &reading->values[key];

    return value->parts_len > 0 ? value->parts[0] : TEXT("");
}

static int block_of(struct reading *reading, enum key key, struct text *ret, struct error *err)
{
    const struct value *value = &reading->values[key];
    size_t bytes = 0;

    for (size_t i = 0; i < value->parts_len; i++)
        bytes += value->parts[i].len + 1;
    char *at = arena_alloc(reading->arena, bytes + 1, err);
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

/* [prepare]'s script: in the file itself, or in one of the folder prepare/ beside it, for several languages. */
static int script_of(struct reading *reading, struct text *ret, struct error *err)
{
    auto_buf struct buf content = { 0 };
    struct text name = line_of(reading, KEY_script_file);
    char path[PATH_MAX];

    if (!reading->values[KEY_script_file].is_there)
        return block_of(reading, KEY_script, ret, err);
    if (reading->values[KEY_script].is_there)
        return error_set(err, ERROR_SETUP, 0, "script and script_file: expected one of them");
    if (!file_name_is_valid(name) || memchr(name.at, '/', name.len) || reading->path == NULL)
        return error_set(err, ERROR_SETUP, 0, "script_file: expected the name of a file in prepare/");
    const char *slash = strrchr(reading->path, '/');
    int folder_len = slash == NULL ? 0 : (int)(slash + 1 - reading->path);
    if (snprintf(path, sizeof path, "%.*sprepare/%s", folder_len, reading->path, name.at) >= (int)sizeof path)
        return error_set(err, ERROR_SETUP, ENAMETOOLONG, "script_file");
    if (ini_file_text(path, &content, err) < 0)
        return error_within(err, "script_file");
    if (!text_is_utf8(buf_text(&content)) || memchr(content.at, '\0', content.len) != NULL)
        return error_set(err, ERROR_SETUP, 0, "%s is not UTF-8 text", path);
    return arena_copy(reading->arena, buf_text(&content), ret, err);
}

static struct command command_of(const struct reading *reading, enum key key)
{
    return (struct command){ reading->values[key].parts, reading->values[key].parts_len };
}

static bool is_made_of(struct text text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0' || strchr(allowed, text.at[i]) == NULL)
            return false;
    return true;
}

/* A typo in a placeholder would reach the compiler as a file name; better said here. */
static int check_command(const struct command *command, const char *key, const struct language *language,
                         struct error *err)
{
    static const char *const known[] = { "{source}", "{binary}",   "{memory_mb}",  "{heap_mb}",
                                         "{main}",   "{prepared}", "{if_prepared}" };

    bool has_binary = language->binary_file.len > 0, has_script = language->prepare_script.len > 0;

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
            if (!has_script && strstr(known[k], "prepared}") != NULL)
                return error_set(err, ERROR_SETUP, 0, "%s: %s is used, but nothing is prepared", key, known[k]);
            if (!has_binary && strcmp(known[k], "{binary}") == 0)
                return error_set(err, ERROR_SETUP, 0, "%s: {binary} is used, but no binary is named", key);
        }
    }
    return 0;
}

static int check_names(const struct language *language, struct error *err)
{
    if (language->id.len == 0 || language->id.len > LANGUAGE_ID_BYTES_MAX ||
        !is_made_of(language->id, "abcdefghijklmnopqrstuvwxyz0123456789_+#.-") ||
        text_equal(language->id, TEXT(QUEUE_MIXED)))
        return error_set(err, ERROR_SETUP, 0, "id: expected 1 to %d of a-z 0-9 _ + # . -, and not \"%s\"",
                         LANGUAGE_ID_BYTES_MAX, QUEUE_MIXED);
    if (language->name.len == 0 || language->version.len == 0 || language->run.words_len == 0)
        return error_set(err, ERROR_SETUP, 0, "name, version and run are needed");
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

static int yes_or_no(struct text word, bool *ret, struct error *err)
{
    *ret = text_equal(word, TEXT("yes"));
    if (word.len > 0 && !*ret && !text_equal(word, TEXT("no")))
        return error_set(err, ERROR_SETUP, 0, "warm: expected yes or no, got \"%.40s\"", word.at);
    return 0;
}

static int finish(struct reading *reading, struct language *ret, struct error *err)
{
    struct value *values = reading->values;
    struct language language = {
        .id = line_of(reading, KEY_id),
        .name = line_of(reading, KEY_name),
        .version = line_of(reading, KEY_version),
        .of = line_of(reading, KEY_of),
        .aliases = values[KEY_aliases].parts,
        .aliases_len = values[KEY_aliases].parts_len,
        .versions = values[KEY_versions].parts,
        .versions_len = values[KEY_versions].parts_len,
        .image = line_of(reading, KEY_image),
        .source_file = line_of(reading, KEY_source),
        .binary_file = line_of(reading, KEY_binary),
        .compile = command_of(reading, KEY_compile),
        .run = command_of(reading, KEY_run),
        .cold_if = values[KEY_cold_if].parts,
        .cold_if_len = values[KEY_cold_if].parts_len,
        .heap_full = line_of(reading, KEY_heap_full),
        .env = values[KEY_env].parts,
        .env_len = values[KEY_env].parts_len,
        .needs = values[KEY_needs].parts,
        .needs_len = values[KEY_needs].parts_len,
        .limits = reading->limits,
        .compile_limits = reading->compile_limits,
        .depends = values[KEY_depends].parts,
        .depends_len = values[KEY_depends].parts_len,
        .prepare_limits = reading->prepare_limits,
    };

    if (check_names(&language, err) < 0 || check_lists(&language, err) < 0 ||
        class_of(line_of(reading, KEY_class), &language.class, err) < 0 ||
        yes_or_no(line_of(reading, KEY_warm), &language.warm, err) < 0 ||
        script_of(reading, &language.prepare_script, err) < 0 ||
        check_command(&language.compile, "compile", &language, err) < 0 ||
        check_command(&language.run, "run", &language, err) < 0 ||
        block_of(reading, KEY_code, &language.hello_code, err) < 0 ||
        block_of(reading, KEY_stdin, &language.hello_stdin, err) < 0 ||
        block_of(reading, KEY_stdout, &language.hello_stdout, err) < 0)
        return -1;
    *ret = language;
    return 0;
}

static void start(struct reading *reading, const struct config *config, struct arena *arena)
{
    *reading = (struct reading){ .arena = arena };
    limits_ceiling(config, &reading->ceiling);
    limits_default(config, &reading->limits);

    /* What compilers need, whatever the ceilings of programs are. */
    reading->compile_limits = reading->limits;
    reading->compile_limits.cpu_us = 15000000;
    reading->compile_limits.wall_us = 30000000;
    reading->compile_limits.memory_bytes = 512u << 20;
    reading->compile_limits.stack_bytes = 64u << 20;
    reading->compile_limits.processes = 64;
    reading->compile_limits.output_bytes = 256u << 10;
    reading->compile_limits.file_bytes = reading->ceiling.disk_bytes;

    /* Once in a while, by the operator's hand, for files of any size. */
    reading->prepare_limits = reading->compile_limits;
    reading->prepare_limits.cpu_us = 300000000;
    reading->prepare_limits.wall_us = 600000000;
    reading->prepare_limits.memory_bytes = 2ull << 30;
    reading->prepare_limits.file_bytes = reading->prepare_limits.disk_bytes = 1ull << 30;
}

/* Only the operator can be to blame, also where an arena is full. */
static int blame_setup(struct error *err)
{
    err->kind = ERROR_SETUP;
    return -1;
}

int language_file_read(const char *path, const struct config *config, struct arena *arena, struct language *ret,
                       struct error *err)
{
    struct reading reading;

    start(&reading, config, arena);
    reading.path = path;
    if (ini_file_read(path, take_entry, &reading, err) < 0)
        return blame_setup(err);
    if (finish(&reading, ret, err) < 0)
        return error_within(err, "%s", path), blame_setup(err);
    return 0;
}

int language_text_read(struct text text, const char *name, const struct config *config, struct arena *arena,
                       struct language *ret, struct error *err)
{
    struct reading reading;

    start(&reading, config, arena);
    if (ini_text_read(text, name, take_entry, &reading, err) < 0)
        return blame_setup(err);
    if (finish(&reading, ret, err) < 0)
        return error_within(err, "%s", name), blame_setup(err);
    return 0;
}
