/* terminal: see the header. */
#include "cli/terminal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

static int put_raw(FILE *out, struct text bytes)
{
    return fwrite(bytes.at != NULL ? bytes.at : "", 1, bytes.len, out) == bytes.len && fflush(out) == 0 ? 0 : -1;
}

/* Ill-formed UTF-8 counts as a control character: a terminal with another character set may act upon it. */
static bool is_shown(const unsigned char *at, size_t step)
{
    return step > 0 && (at[0] == '\n' || at[0] == '\t' || !utf8_is_control(utf8_code(at, step)));
}

/* A JSON text contains controls of one byte only as white space, so those of several bytes are all in strings. */
static int put(FILE *out, struct text bytes, bool is_json)
{
    const unsigned char *at = (const unsigned char *)bytes.at;

    if (isatty(fileno(out)) == 0)
        return put_raw(out, bytes);
    for (size_t i = 0, bad = 0, step; i < bytes.len; i += step) {
        step = utf8_step(at + i, bytes.len - i, &bad);
        if (is_shown(at + i, step) || (is_json && at[i] == '\r'))
            (void)fwrite(at + i, 1, step, out);
        else if (step > 1)
            (void)fprintf(out, "\\u%04" PRIx32, utf8_code(at + i, step));
        else if (is_json)
            (void)fputc('?', out);
        else
            (void)fprintf(out, "\\x%02x", at[i]);
        step += step == 0;
    }
    return fflush(out) == 0 ? 0 : -1;
}

int terminal_put(FILE *out, struct text bytes)
{
    return put(out, bytes, false);
}

int terminal_put_json(FILE *out, struct text json)
{
    return put(out, json, true);
}

static void replace_controls(json_t *string, bool keeps_lines)
{
    const char *old = json_string_value(string);
    size_t len = json_string_length(string), kept = 0;
    char *shown = malloc(len + 1);

    if (shown == NULL)
        abort();
    for (size_t i = 0, bad = 0, step; i < len; i += step) {
        const unsigned char *at = (const unsigned char *)old + i;
        step = utf8_step(at, len - i, &bad);
        step += step == 0;
        bool is_line = keeps_lines && (at[0] == '\n' || at[0] == '\t');
        if (!is_line && utf8_is_control(utf8_code(at, step))) {
            shown[kept++] = '?';
            continue;
        }
        memcpy(shown + kept, at, step);
        kept += step;
    }
    (void)json_string_setn(string, shown, kept);
    free(shown);
}

void terminal_make_presentable(json_t *value, bool keeps_lines)
{
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_string(value))
        replace_controls(value, keeps_lines);
    json_array_foreach(value, i, member) terminal_make_presentable(member, keeps_lines);
    json_object_foreach(value, key, member) terminal_make_presentable(member, keeps_lines);
}
