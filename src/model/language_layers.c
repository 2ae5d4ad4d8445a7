/*
 * language_layers: see the header.
 *
 * A table names every key, its section and its shape.  Values are collected line by line, because a key may continue
 * over several lines.
 */
#include "model/language_layers.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "config/config.h"
#include "config/ini_file.h"

#define VERSION_PLACEHOLDER "{version}"

enum shape {
    SHAPE_LINE,   /* one line of text */
    SHAPE_YES_NO, /* "yes" or "no" */
    SHAPE_WORDS,  /* words split at blanks, over any number of lines */
    SHAPE_LINES,  /* one entry a line */
    SHAPE_ENV,    /* the same, NAME=value; a line replaces an inherited one of its NAME */
    SHAPE_BLOCK,  /* lines joined with newlines; a '|' at the start of a line keeps the blanks after it */
};

static const struct {
    const char *section, *name;
    enum shape shape;
} keys[] = {
#define X(in, key, how) { in, #key, how },
    KEYS(X)
#undef X
};

static const char *const limits_sections[LIMITS_COUNT_] = { "limits", "compile_limits", "prepare_limits" };

struct reading {
    struct arena *arena;
    struct limits ceiling;
    struct language_layer builtin;         /* what a file without [language] inherits */
    const struct language_layer *defaults; /* what [language] inherits */
    struct language_layer *first, *last;   /* the file's layers; entries go to the last */
    size_t layers_len;
    bool is_defaults;  /* the file is defaults.conf */
    bool has_language; /* it begins with [language] */
    bool in_main;      /* in [language] or [version X], or before the first section */
};

struct text layer_line(const struct language_layer *layer, enum key key)
{
    const struct value *value = &layer->values[key];

    return value->parts_len > 0 ? value->parts[0] : TEXT("");
}

#define WORDS(key) .key = layer->values[KEY_##key].parts, .key##_len = layer->values[KEY_##key].parts_len

struct image_recipe layer_recipe(const struct language_layer *layer)
{
    return (struct image_recipe){ .suite = layer_line(layer, KEY_suite),
                                  .on = layer_line(layer, KEY_on),
                                  WORDS(packages),
                                  WORDS(pypi),
                                  WORDS(npm),
                                  WORDS(maven),
                                  WORDS(gomod),
                                  WORDS(crates),
                                  WORDS(setup_files),
                                  WORDS(setup) };
}

static int add_part(struct reading *reading, enum key key, struct text part, struct error *err)
{
    struct value *value = &reading->last->values[key];
    size_t at = value->parts_len;

    if (keys[key].shape == SHAPE_ENV) {
        const char *sign = memchr(part.at, '=', part.len);
        size_t name_len = sign == NULL ? part.len : (size_t)(sign + 1 - part.at);
        for (at = 0; at < value->parts_len; at++)
            if (value->parts[at].len >= name_len && memcmp(value->parts[at].at, part.at, name_len) == 0)
                break;
    }
    if (at == LANGUAGE_WORDS_MAX)
        return error_set(err, ERROR_SETUP, 0, "%s: more than %d words or lines", keys[key].name, LANGUAGE_WORDS_MAX);
    if (at == value->parts_len)
        value->parts_len++;
    return arena_copy(reading->arena, part, &value->parts[at], err);
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

static int add_line(struct reading *reading, enum key key, const struct ini_entry *entry, struct error *err)
{
    const char *line = entry->value;

    switch (keys[key].shape) {
    case SHAPE_YES_NO:
        if (line[0] != '\0' && strcmp(line, "yes") != 0 && strcmp(line, "no") != 0)
            return error_set(err, ERROR_SETUP, 0, "%s: expected yes or no, got \"%.40s\"", entry->key, line);
        return add_part(reading, key, text_of(line), err);
    case SHAPE_LINE:
        return add_part(reading, key, text_of(line), err);
    case SHAPE_WORDS:
        return add_words(reading, key, line, err);
    case SHAPE_LINES:
    case SHAPE_ENV:
        return line[0] == '\0' ? 0 : add_part(reading, key, text_of(line), err);
    case SHAPE_BLOCK:
        /* After "code =" the block begins on the next line. */
        if (!entry->continues && line[0] == '\0')
            return 0;
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
        return error_set(err, ERROR_SETUP, 0, "unknown limit \"%.40s\"", entry->key);
    if ((*seen & 1u << field) != 0)
        return error_set(err, ERROR_SETUP, 0, "%s is set twice", entry->key);
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

/* A layer that holds what `from` holds, without the keys that are not inherited. */
static int add_layer(struct reading *reading, const struct language_layer *from, struct error *err)
{
    struct language_layer *layer = arena_alloc(reading->arena, sizeof *layer, err);

    if (layer == NULL)
        return -1;
    if (reading->layers_len++ == LANGUAGES_LIST_MAX)
        return error_set(err, ERROR_SETUP, 0, "more than %d versions", LANGUAGES_LIST_MAX);
    *layer = *from;
    layer->next = NULL;
    for (enum key key = 0; key < KEY_COUNT_; key++)
        if (key < KEY_name)
            layer->values[key] = (struct value){ 0 };
        else
            layer->values[key].is_own = false;
    memset(layer->limits_own, 0, sizeof layer->limits_own);
    if (reading->first == NULL)
        reading->first = layer;
    else
        reading->last->next = layer;
    reading->last = layer;
    return 0;
}

/* One line as the value of a key in the last layer. */
static int set_line(struct reading *reading, enum key key, struct text line, struct error *err)
{
    struct value *value = &reading->last->values[key];

    value->parts = arena_alloc_array(reading->arena, 1, sizeof *value->parts, err);
    if (value->parts == NULL)
        return -1;
    value->parts_len = 1;
    return arena_copy(reading->arena, line, value->parts, err);
}

/* [version X].  Its id is ID-X, or OF-X if [language] has `of`, unless the section sets another. */
static int begin_version(struct reading *reading, struct text version, struct error *err)
{
    char id[128];

    if (!reading->has_language)
        return error_set(err, ERROR_SETUP, 0, "[version %.40s]: expected a [language] section before it", version.at);
    if (version.len == 0)
        return error_set(err, ERROR_SETUP, 0, "[version]: the section names no version, as in [version 3.12]");
    for (const struct language_layer *layer = reading->first->next; layer != NULL; layer = layer->next)
        if (text_equal(layer_line(layer, KEY_version), version))
            return error_set(err, ERROR_SETUP, 0, "[version %.40s] appears twice", version.at);
    /* The file of a version of another language: its sections are versions of that language, too. */
    struct text of = layer_line(reading->first, KEY_of);
    struct text language = of.len > 0 ? of : layer_line(reading->first, KEY_id);
    (void)snprintf(id, sizeof id, "%.*s-%.*s", TEXT_ARG(language), TEXT_ARG(version));
    if (add_layer(reading, reading->first, err) < 0 || set_line(reading, KEY_id, text_of(id), err) < 0 ||
        set_line(reading, KEY_version, version, err) < 0 || set_line(reading, KEY_of, language, err) < 0)
        return -1;
    reading->last->values[KEY_version].is_own = true; /* "version = Y" in this section is a second one */
    return 0;
}

static bool is_known_section(const char *section)
{
    for (enum limits_of of = 0; of < LIMITS_COUNT_; of++)
        if (strcmp(section, limits_sections[of]) == 0)
            return true;
    for (enum key key = 0; key < KEY_COUNT_; key++)
        if (section[0] != '\0' && strcmp(section, keys[key].section) == 0)
            return true;
    return false;
}

static int begin_section(struct reading *reading, const char *section, struct error *err)
{
    bool is_language = strcmp(section, "language") == 0;
    bool is_version = strncmp(section, "version", 7) == 0 && (section[7] == ' ' || section[7] == '\0');

    reading->in_main = is_language || is_version;
    if (reading->in_main && reading->is_defaults)
        return error_set(err, ERROR_SETUP, 0, "[%.40s]: expected in a language's own file", section);
    if (is_language) {
        if (reading->first != NULL)
            return error_set(err, ERROR_SETUP, 0, "[language]: expected once, before all else");
        reading->has_language = true;
        return add_layer(reading, reading->defaults != NULL ? reading->defaults : &reading->builtin, err);
    }
    if (is_version)
        return begin_version(reading, text_of(section + 7 + strspn(section + 7, " ")), err);
    /* A section without keys is not an entry, and "[verison 2]" must not be ignored.  The old form ignores it. */
    if ((reading->has_language || reading->is_defaults) && !is_known_section(section))
        return error_set(err, ERROR_SETUP, 0, "unknown section [%.40s]", section);
    return reading->first != NULL ? 0 : add_layer(reading, &reading->builtin, err);
}

static int take_value(struct reading *reading, enum key key, const struct ini_entry *entry, struct error *err)
{
    struct value *value = &reading->last->values[key];
    enum shape shape = keys[key].shape;

    if (reading->is_defaults && key < KEY_name)
        return error_set(err, ERROR_SETUP, 0, "%s: expected in a language's own file", entry->key);
    if (entry->continues && (shape == SHAPE_LINE || shape == SHAPE_YES_NO))
        return error_set(err, ERROR_SETUP, 0, "%s: expected one line", entry->key);
    if (!entry->continues) {
        if (value->is_own)
            return error_set(err, ERROR_SETUP, 0, "%s is set twice", entry->key);
        struct text *parts = arena_alloc_array(reading->arena, LANGUAGE_WORDS_MAX, sizeof *parts, err);
        if (parts == NULL)
            return -1;
        /* The environment is added to what is inherited, except after "env =" alone on its line. */
        size_t kept = shape == SHAPE_ENV && entry->value[0] != '\0' ? value->parts_len : 0;
        if (kept > 0)
            memcpy(parts, value->parts, kept * sizeof *parts);
        *value = (struct value){ .is_own = true, .parts = parts, .parts_len = kept };
        /* One of the two replaces an inherited other. */
        enum key other = key == KEY_script ? KEY_script_file : key == KEY_script_file ? KEY_script : KEY_COUNT_;
        if (other != KEY_COUNT_ && !reading->last->values[other].is_own)
            reading->last->values[other] = (struct value){ 0 };
    }
    return add_line(reading, key, entry, err);
}

static int take_entry(void *context, const struct ini_entry *entry, struct error *err)
{
    struct reading *reading = context;

    if (entry->key == NULL)
        return begin_section(reading, entry->section, err);
    if (reading->first == NULL && add_layer(reading, &reading->builtin, err) < 0)
        return -1;

    struct language_layer *layer = reading->last;
    /* The operator sets the limits of compilers and [prepare] scripts: no ceiling applies. */
    for (enum limits_of of = 0; of < LIMITS_COUNT_; of++)
        if (strcmp(entry->section, limits_sections[of]) == 0 && !entry->continues)
            return take_limit(&layer->limits[of], of == LIMITS_RUN ? &reading->ceiling : &limits_unbounded,
                              &layer->limits_own[of], entry, err);

    const char *section = reading->in_main ? "" : entry->section;
    const char *name = reading->in_main && strcmp(entry->key, "warm") == 0 ? "prestart" : entry->key; /* its old name */
    for (enum key key = 0; key < KEY_COUNT_; key++)
        if (strcmp(name, keys[key].name) == 0 &&
            (strcmp(section, keys[key].section) == 0 || (reading->in_main && strcmp(keys[key].section, "image") == 0)))
            return take_value(reading, key, entry, err);
    return error_set(err, ERROR_SETUP, 0, "unknown key \"%.40s\" in section [%.40s]", entry->key, entry->section);
}

/* *ret is `part` with {version} filled in. */
static int fill_part(struct arena *arena, struct text part, struct text version, struct text *ret, struct error *err)
{
    auto_buf struct buf filled = { .max = 64u << 10 };
    const char *at = part.at, *found = strstr(at, VERSION_PLACEHOLDER);

    *ret = part;
    if (found == NULL)
        return 0;
    for (; found != NULL; at = found + strlen(VERSION_PLACEHOLDER), found = strstr(at, VERSION_PLACEHOLDER))
        if (buf_append(&filled, at, (size_t)(found - at), err) < 0 || buf_append_text(&filled, version, err) < 0)
            return -1;
    if (buf_append_text(&filled, text_of(at), err) < 0)
        return -1;
    return arena_copy(arena, buf_text(&filled), ret, err);
}

static int fill_version(struct arena *arena, struct language_layer *layer, struct error *err)
{
    struct text version = layer_line(layer, KEY_version);

    for (enum key key = 0; key < KEY_COUNT_; key++) {
        struct value *value = &layer->values[key];
        enum shape shape = keys[key].shape;
        if ((shape != SHAPE_LINE && shape != SHAPE_WORDS && shape != SHAPE_ENV) || value->parts_len == 0)
            continue;
        struct text *filled = arena_alloc_array(arena, value->parts_len, sizeof *filled, err);
        if (filled == NULL)
            return -1;
        for (size_t i = 0; i < value->parts_len; i++)
            if (fill_part(arena, value->parts[i], version, &filled[i], err) < 0)
                return -1;
        value->parts = filled;
    }
    return 0;
}

/* evalx's own defaults. */
static void start(struct reading *reading, const struct config *config, struct arena *arena)
{
    *reading = (struct reading){ .arena = arena, .in_main = true };
    limits_ceiling(config, &reading->ceiling);

    struct limits *limits = reading->builtin.limits;
    limits_default(config, &limits[LIMITS_RUN]);

    /* What compilers need, whatever the ceilings of programs are. */
    struct limits *compile = &limits[LIMITS_COMPILE];
    *compile = limits[LIMITS_RUN];
    compile->cpu_us = 15000000;
    compile->wall_us = 30000000;
    compile->memory_bytes = 512u << 20;
    compile->stack_bytes = 64u << 20;
    compile->processes = 64;
    compile->output_bytes = 256u << 10;
    compile->file_bytes = reading->ceiling.disk_bytes;

    /* Scripts run rarely and only when the operator asks for it; their files may be large. */
    struct limits *prepare = &limits[LIMITS_PREPARE];
    *prepare = *compile;
    prepare->cpu_us = 300000000;
    prepare->wall_us = 600000000;
    prepare->memory_bytes = 2ull << 30;
    prepare->file_bytes = prepare->disk_bytes = 1ull << 30;
}

/* Every error is the operator's to fix, also a full arena. */
static int blame_setup(struct error *err)
{
    err->kind = ERROR_SETUP;
    return -1;
}

static int read_layers(struct reading *reading, const char *path, struct text text, const char *name, struct error *err)
{
    auto_buf struct buf content = { 0 };

    if (path != NULL && ini_file_text(path, &content, err) < 0)
        return blame_setup(err);
    if (ini_text_read_sections(path != NULL ? buf_text(&content) : text, name, take_entry, reading, err) < 0 ||
        (reading->first == NULL && add_layer(reading, &reading->builtin, err) < 0))
        return blame_setup(err);
    return 0;
}

int language_layers_read(const char *path, struct text text, const char *name, const struct config *config,
                         const struct language_layer *defaults, struct arena *arena, struct language_layer **ret,
                         struct error *err)
{
    struct reading reading;

    start(&reading, config, arena);
    reading.defaults = defaults;
    if (read_layers(&reading, path, text, name, err) < 0)
        return -1;
    /* Only now: an inherited {version} stands for the version of the layer that inherits it. */
    for (struct language_layer *layer = reading.first; layer != NULL; layer = layer->next)
        if (fill_version(arena, layer, err) < 0)
            return blame_setup(err);
    *ret = reading.first;
    return 0;
}

int language_defaults_read(const char *path, const struct config *config, struct arena *arena,
                           const struct language_layer **ret, struct error *err)
{
    struct reading reading;

    start(&reading, config, arena);
    reading.is_defaults = true;
    if (read_layers(&reading, path, (struct text){ 0 }, path, err) < 0)
        return -1;
    *ret = reading.first;
    return 0;
}
