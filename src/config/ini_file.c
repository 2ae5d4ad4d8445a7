/*
 * ini_file: inih with its own line reader.
 *
 * As distributions build it, inih calls its handler without a line number and silently splits long lines.  But it
 * requests its lines one by one.  So the reader below counts and checks them; the entry that a handler gets is always
 * on the line that was read last.
 */
#include "config/ini_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define LINE_BYTES_MAX 198
#define SECTION_BYTES_MAX 48 /* inih would cut a longer name */

struct reading {
    struct text rest; /* not read yet */
    unsigned line;    /* number of the last line read */
    bool is_indented; /* that line begins with a blank, so it continues an entry if there is one */
    bool has_entry;   /* an entry has followed the last [section] */
    ini_entry_handler *handler;
    void *context;
    bool wants_sections;
    bool failed;
    struct error *err;
};

static int fail(struct reading *reading, const char *why)
{
    reading->failed = true;
    return error_set(reading->err, ERROR_SETUP, 0, "%s", why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void note_line(struct reading *reading, struct text line)
{
    size_t at = 0;

    while (at < line.len && is_blank(line.at[at]))
        at++;
    reading->is_indented = at > 0;
    if (at < line.len && line.at[at] == '[' && !(reading->is_indented && reading->has_entry))
        reading->has_entry = false;
}

/* inih does not report sections, so a section without entries would be missed. */
static void report_section(struct reading *reading, struct text line)
{
    const char *open = reading->has_entry ? NULL : memchr(line.at, '[', line.len);
    const char *close = open != NULL ? memchr(open, ']', line.len - (size_t)(open - line.at)) : NULL;
    char name[SECTION_BYTES_MAX + 1];

    if (close == NULL || strspn(line.at, " \t") < (size_t)(open - line.at))
        return;
    size_t len = (size_t)(close - open) - 1;
    if (len > SECTION_BYTES_MAX) {
        fail(reading, "the section name is longer than 48 bytes");
        return;
    }
    memcpy(name, open + 1, len);
    name[len] = '\0';
    struct ini_entry entry = { .section = name };
    if (reading->handler(reading->context, &entry, reading->err) < 0)
        reading->failed = true;
}

/* inih's fgets: the next line, or NULL at the end and after a failure. */
static char *next_line(char *line, int bytes, void *stream)
{
    struct reading *reading = stream;

    if (reading->failed || reading->rest.len == 0)
        return NULL;
    const char *end = memchr(reading->rest.at, '\n', reading->rest.len);
    size_t len = end != NULL ? (size_t)(end - reading->rest.at) : reading->rest.len;
    struct text found = { reading->rest.at, len };

    reading->line++;
    if (len > LINE_BYTES_MAX || (int)len + 2 > bytes) {
        fail(reading, "the line is longer than 198 bytes: continue it on an indented line");
        return NULL;
    }
    if (memchr(found.at, '\0', len) != NULL || !text_is_utf8(found)) {
        fail(reading, "the line is not UTF-8 text");
        return NULL;
    }
    note_line(reading, found);
    if (reading->wants_sections)
        report_section(reading, found);
    if (reading->failed)
        return NULL;
    memcpy(line, found.at, len);
    line[len] = '\n';
    line[len + 1] = '\0';

    size_t taken = end != NULL ? len + 1 : len;
    reading->rest.at += taken;
    reading->rest.len -= taken;
    return line;
}

/* inih's handler: 1 is success. */
static int take_entry(void *user, const char *section, const char *key, const char *value)
{
    struct reading *reading = user;

    if (reading->failed)
        return 0;
    if (key[0] == '\0') {
        fail(reading, "expected \"key = value\", got a value without a key");
        return 0;
    }
    struct ini_entry entry = { .section = section,
                               .key = key,
                               .value = value,
                               .line = reading->line,
                               .continues = reading->is_indented && reading->has_entry };
    reading->has_entry = true;
    if (reading->handler(reading->context, &entry, reading->err) < 0) {
        reading->failed = true;
        return 0;
    }
    return 1;
}

static int read_text(struct text text, const char *name, ini_entry_handler *handler, bool wants_sections, void *context,
                     struct error *err)
{
    struct reading reading = {
        .rest = text, .handler = handler, .wants_sections = wants_sections, .context = context, .err = err
    };
    /* inih skips a byte order mark; the reader of sections would not recognise a [section] after one. */
    if (text.len >= 3 && memcmp(text.at, "\xEF\xBB\xBF", 3) == 0)
        reading.rest = (struct text){ text.at + 3, text.len - 3 };
    /* inih continues after a line it cannot parse.  If the handler failed before, its error is the one to report. */
    int line = ini_parse_stream(next_line, &reading, take_entry, &reading);

    if (reading.failed && (line <= 0 || (unsigned)line >= reading.line))
        return error_within(err, "%s:%u", name, reading.line);
    if (line > 0)
        return error_set(err, ERROR_SETUP, 0, "%s:%d: expected \"key = value\", \"[section]\" or a comment", name,
                         line);
    if (line < 0)
        return error_set(err, ERROR_SETUP, 0, "%s: out of memory", name);
    return 0;
}

int ini_text_read(struct text text, const char *name, ini_entry_handler *handler, void *context, struct error *err)
{
    return read_text(text, name, handler, false, context, err);
}

int ini_text_read_sections(struct text text, const char *name, ini_entry_handler *handler, void *context,
                           struct error *err)
{
    return read_text(text, name, handler, true, context, err);
}

int ini_file_text(const char *path, struct buf *ret, struct error *err)
{
    struct stat about;

    /* O_NONBLOCK: opening a FIFO must not block. */
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open %s", path);
    if (fstat(fd, &about) < 0)
        return error_set(err, ERROR_SETUP, errno, "stat %s", path);
    if (!S_ISREG(about.st_mode))
        return error_set(err, ERROR_SETUP, 0, "%s is not a regular file", path);
    if (about.st_size > INI_FILE_BYTES_MAX)
        return error_set(err, ERROR_SETUP, 0, "%s is larger than %u bytes", path, INI_FILE_BYTES_MAX);

    ret->max = INI_FILE_BYTES_MAX;
    for (;;) {
        if (buf_reserve(ret, 4096 < ret->max - ret->len ? 4096 : ret->max - ret->len, err) < 0)
            return error_within(err, "read %s", path);
        ssize_t len = read(fd, ret->at + ret->len, ret->cap - 1 - ret->len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return error_set(err, ERROR_SETUP, errno, "read %s", path);
        if (len == 0)
            return 0;
        ret->len += (size_t)len;
    }
}

int ini_file_read(const char *path, ini_entry_handler *handler, void *context, struct error *err)
{
    auto_buf struct buf text = { 0 };

    if (ini_file_text(path, &text, err) < 0)
        return -1;
    return ini_text_read(buf_text(&text), path, handler, context, err);
}
