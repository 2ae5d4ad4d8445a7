/*
 * log: writes one line to stderr, for journald or a terminal.  Thread-safe; keeps errno.
 *
 * Format (logfmt): `ts=2026-01-31T12:00:00.123Z level=info pid=123 msg="..."`.  The whole text is quoted and escaped,
 * so a program's output can never forge a line or a key.  A text over LOG_TEXT_MAX bytes is cut and marked as cut.
 * Never log a secret: a password, a key, or a URL with user info.
 */
#pragma once

#define LOG_TEXT_MAX 2000

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_set_level(enum log_level level);
/* "debug", "info", "warn" or "error"; returns -1 for any other name. */
int log_level_parse(const char *name, enum log_level *ret_level);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
