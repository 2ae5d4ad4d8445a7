/* request_builder: see the header. */
#include "cli/request_builder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/cleanup.h"

#define FILE_BYTES_MAX (64u << 20)
#define READ_BYTES 65536

int read_whole_file(const char *path, struct buf *ret, struct error *err)
{
    auto_close int opened = -1;
    int fd = STDIN_FILENO;

    if (strcmp(path, "-") != 0) {
        fd = opened = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return error_set(err, ERROR_SETUP, errno, "open %s", path);
    }
    ret->max = FILE_BYTES_MAX;
    for (;;) {
        if (buf_reserve(ret, READ_BYTES, err) < 0)
            return error_set(err, ERROR_SETUP, 0, "%s is larger than %u MiB", path, FILE_BYTES_MAX >> 20);
        ssize_t got = read(fd, ret->at + ret->len, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(err, ERROR_SETUP, errno, "read %s", path);
        ret->len += (size_t)got;
        ret->at[ret->len] = '\0';
        if (got == 0)
            return 0;
    }
}

/* ".py" of "a/b.py"; "" if there is none. */
static const char *suffix_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash != NULL ? slash : path, '.');

    return dot != NULL && dot[1] != '\0' ? dot : "";
}

static const char *guess_language(const char *path, const struct languages *languages)
{
    const char *suffix = suffix_of(path);

    if (suffix[0] == '\0')
        return NULL;
    if (languages == NULL)
        return suffix + 1; /* suffixes such as "py" are aliases of languages */
    /* Prefers installed languages, then the one of that name, then those that are not a version of another. */
    const struct language *named = languages_find(languages, text_of(suffix + 1)), *best = NULL;
    int best_score = -1;
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *language = &languages->list[i];
        if (language->base.len > 0) /* chosen by --image */
            continue;
        int score = (language->available ? 4 : 0) + (language == named ? 2 : 0) + (language->of.len == 0 ? 1 : 0);
        if (score > best_score && (language == named || strcmp(suffix_of(language->source_file.at), suffix) == 0)) {
            best = language;
            best_score = score;
        }
    }
    return best != NULL ? best->id.at : NULL;
}

static int set_text(json_t *object, const char *key, struct text value, const char *path, struct error *err)
{
    if (!text_is_utf8(value) || memchr(value.at != NULL ? value.at : "", 0, value.len) != NULL)
        return error_set(err, ERROR_REQUEST, 0, "%s is not UTF-8 text", path);
    json_t *string = json_stringn(value.at != NULL ? value.at : "", value.len);
    if (string == NULL || json_object_set_new(object, key, string) < 0)
        return error_set(err, ERROR_SETUP, ENOMEM, "%s", path);
    return 0;
}

static int set_file(json_t *object, const char *key, const char *path, struct error *err)
{
    auto_buf struct buf content = { 0 };

    if (read_whole_file(path, &content, err) < 0)
        return -1;
    return set_text(object, key, buf_text(&content), path, err);
}

static int set_input(json_t *object, const char *path, struct error *err)
{
    auto_buf struct buf content = { 0 };
    auto_buf struct buf encoded = { .max = FILE_BYTES_MAX * 2 };

    if (read_whole_file(path, &content, err) < 0 || base64_encode(buf_text(&content), &encoded, err) < 0)
        return -1;
    return set_text(object, "stdin_base64", buf_text(&encoded), path, err);
}

static int set_limits(json_t *object, const struct request_files *files, struct error *err)
{
    uint64_t bytes;

    if (files->timeout != NULL) {
        char *end = NULL;
        double seconds = strtod(files->timeout, &end);
        if (end == files->timeout || *end != '\0' || !isfinite(seconds) || seconds <= 0)
            return error_set(err, ERROR_USAGE, 0, "--timeout: expected seconds, got \"%s\"", files->timeout);
        (void)json_object_set_new(object, "timeout", json_real(seconds));
    }
    if (files->memory == NULL)
        return 0;
    if (limits_parse_memory(files->memory, &bytes, err) < 0)
        return error_set(err, ERROR_USAGE, 0, "--memory: expected a size such as 128m or 1g, got \"%s\"",
                         files->memory);
    return set_text(object, "memory_limit", text_of(files->memory), "--memory", err);
}

static int set_args(json_t *object, const struct request_files *files, struct error *err)
{
    json_t *args = json_array();

    for (int i = 0; i < files->args_len; i++)
        if (json_array_append_new(args, json_string(files->args[i])) < 0) {
            json_decref(args);
            return error_set(err, ERROR_USAGE, 0, "argument %d is not UTF-8 text", i + 1);
        }
    return json_object_set_new(object, "args", args) < 0 ? error_set(err, ERROR_SETUP, ENOMEM, "arguments") : 0;
}

int request_from_files(const struct request_files *files, const struct languages *languages, json_t **ret,
                       struct error *err)
{
    const char *language = files->language != NULL ? files->language : guess_language(files->source, languages);

    if (language == NULL)
        return error_set(err, ERROR_USAGE, 0, "cannot determine the language of %s by its name: use --language",
                         files->source);
    if (files->input != NULL && strcmp(files->input, "-") == 0 && strcmp(files->source, "-") == 0)
        return error_set(err, ERROR_USAGE, 0, "the program and its input cannot both be read from stdin");
    json_t *object = json_object();
    if (set_text(object, "language", text_of(language), "--language", err) < 0 ||
        set_text(object, "version", TEXT("*"), "version", err) < 0 ||
        set_file(object, "code", files->source, err) < 0 ||
        (files->input != NULL && set_input(object, files->input, err) < 0) ||
        (files->expected != NULL && set_file(object, "expected_output", files->expected, err) < 0) ||
        set_limits(object, files, err) < 0 ||
        (files->network != NULL && set_text(object, "network", text_of(files->network), "--network", err) < 0) ||
        (files->assertions && json_object_set_new(object, "assertions", json_true()) < 0) ||
        (files->image != NULL && set_text(object, "image", text_of(files->image), "--image", err) < 0) ||
        (files->args_len > 0 && set_args(object, files, err) < 0)) {
        json_decref(object);
        return -1;
    }
    *ret = object;
    return 0;
}
