/*
 * log: one write(2) per line.  Lines of several threads and processes that share stderr do not mix, because a pipe
 * keeps writes of up to PIPE_BUF (4096) bytes whole.
 */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

static _Atomic int lowest = LOG_LEVEL_INFO;

static const char *const names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&lowest, (int)level, memory_order_relaxed);
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    return -1;
}

/* Writes the bytes escaped, and stops before `end` is reached.  Returns the new end of the line. */
static char *escape(const char *text, size_t len, char *out, const char *end)
{
    for (size_t at = 0; at < len && end - out > 8;) {
        size_t bad = 0;
        size_t step = utf8_step((const unsigned char *)text + at, len - at, &bad);
        unsigned char byte = (unsigned char)text[at];
        if (step == 0 || utf8_is_control(utf8_code((const unsigned char *)text + at, step))) {
            if (byte == '\n')
                out += snprintf(out, 3, "\\n");
            else
                out += snprintf(out, 5, "\\x%02x", byte);
            at++;
            continue;
        }
        if (byte == '"' || byte == '\\')
            *out++ = '\\';
        memcpy(out, text + at, step);
        out += step;
        at += step;
    }
    return out;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const char cut_mark[] = "...(cut)";
    char text[LOG_TEXT_MAX + 1];
    char line[PIPE_BUF];
    char now[CLOCK_ISO_BYTES];
    int saved_errno = errno;
    va_list args;

    assert((unsigned)level < sizeof names / sizeof *names);
    if ((int)level < atomic_load_explicit(&lowest, memory_order_relaxed))
        return;

    va_start(args, fmt);
    int text_len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    assert(text_len >= 0);

    clock_iso(clock_wall_ms(), now);
    char *end = line + sizeof line - sizeof cut_mark - 2;
    char *at = line + snprintf(line, sizeof line, "ts=%s level=%s pid=%d msg=\"", now, names[level], (int)getpid());
    at = escape(text, strlen(text), at, end);
    if (text_len > LOG_TEXT_MAX || end - at <= 8)
        at += snprintf(at, sizeof cut_mark, "%s", cut_mark);
    *at++ = '"';
    *at++ = '\n';
    /* A failed write cannot be reported anywhere. */
    while (write(STDERR_FILENO, line, (size_t)(at - line)) < 0 && errno == EINTR)
        ;
    errno = saved_errno;
}
