/*
 * error: fills struct error.  Allocates nothing.
 *
 * Texts end up in JSON answers and log lines, and often quote what a client sent.  So every text is made
 * well-formed UTF-8 without control characters here, once, instead of at each place that quotes something.
 */
#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>

#include "base/utf8.h"

/* Replaces control characters and ill-formed UTF-8, and removes a character that was cut in half. */
static void make_presentable(char *line, size_t bytes, bool was_cut)
{
    size_t len = strnlen(line, bytes - 1);
    size_t at = 0;

    while (at < len) {
        size_t bad = 0;
        size_t good = utf8_step((const unsigned char *)line + at, len - at, &bad);
        if (good == 0) {
            if (was_cut && at + bad == len) { /* the text was cut inside a character */
                len = at;
                break;
            }
            memset(line + at, '?', bad);
            good = bad;
        } else if (utf8_is_control(utf8_code((const unsigned char *)line + at, good))) {
            memset(line + at, good == 1 ? ' ' : '?', good);
        }
        at += good;
    }
    line[len] = '\0';
}

static void print_cut(char *out, size_t bytes, const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));

static void print_cut(char *out, size_t bytes, const char *fmt, va_list args)
{
    int len = vsnprintf(out, bytes, fmt, args);

    assert(len >= 0);
    make_presentable(out, bytes, (size_t)len >= bytes);
}

/* Appends ": " and as much of `tail` as fits. */
static void append_cut(char *out, size_t bytes, const char *tail)
{
    size_t len = strlen(out);
    int added = snprintf(out + len, bytes - len, ": %s", tail);

    make_presentable(out, bytes, added >= 0 && (size_t)added >= bytes - len);
}

int error_set(struct error *err, enum error_kind kind, int os, const char *fmt, ...)
{
    va_list args;

    assert(kind != ERROR_NONE);
    *err = (struct error){ .kind = kind, .os = os };
    va_start(args, fmt);
    print_cut(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (os != 0) {
        const char *words = strerrordesc_np(os); /* unlike strerror: thread-safe, never translated */
        append_cut(err->text, sizeof err->text, words != NULL ? words : "unknown system error");
    }
    return -1;
}

int error_field(struct error *err, const char *field, const char *fmt, ...)
{
    va_list args;

    /* `field` may be err->field of an earlier failure. */
    char name[sizeof err->field];
    int len = snprintf(name, sizeof name, "%s", field);
    make_presentable(name, sizeof name, len >= 0 && (size_t)len >= sizeof name);

    *err = (struct error){ .kind = ERROR_REQUEST };
    memcpy(err->field, name, sizeof name);
    va_start(args, fmt);
    print_cut(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return -1;
}

int error_within(struct error *err, const char *fmt, ...)
{
    char old[sizeof err->text];
    va_list args;

    assert(err->kind != ERROR_NONE);
    memcpy(old, err->text, sizeof old);
    va_start(args, fmt);
    print_cut(err->text, sizeof err->text, fmt, args);
    va_end(args);
    append_cut(err->text, sizeof err->text, old);
    return -1;
}

const char *error_kind_name(enum error_kind kind)
{
    switch (kind) {
    case ERROR_NONE:
        return "none";
    case ERROR_REQUEST:
        return "bad_request";
    case ERROR_MISSING:
        return "not_found";
    case ERROR_BUSY:
        return "busy";
    case ERROR_STORE:
        return "store_unavailable";
    case ERROR_SANDBOX:
        return "sandbox_failure";
    case ERROR_USAGE:
        return "usage";
    case ERROR_SETUP:
        return "setup";
    case ERROR_BUG:
        return "internal_error";
    }
    assert(0 && "an error kind without a name");
    return "internal_error";
}
