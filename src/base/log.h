/*
 * log: one line, one write(2), to stderr; journald or a terminal reads it.
 *
 * Form: `ts=2026-01-31T12:00:00.123Z level=info pid=123 msg="..."` (logfmt).  The whole text of the call is the
 * message, quoted and escaped, so a program's output can never forge a line or a key.  Any thread; errno is kept.
 * A text over LOG_TEXT_MAX bytes is cut, and says so.
 * Never pass a secret: passwords, keys and URLs with user info stay out of every call.
 */
#pragma once

#define LOG_TEXT_MAX 2000

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_set_level(enum log_level level);
/* "debug", "info", "warn", "error"; -1 if it is none of them. */
int log_level_parse(const char *name, enum log_level *ret_level);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
