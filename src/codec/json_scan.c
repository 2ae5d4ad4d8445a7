/* json_scan: knows strings, brackets and words; everything else only separates them. */
#include "codec/json_scan.h"

#include <string.h>

struct scan {
    struct text text;
    size_t at, values;
    unsigned depth;
    unsigned names[JSON_SCAN_DEPTH_MAX + 1]; /* of the open object at each depth */
};

static int fail(const struct scan *scan, const char *what, unsigned max, struct error *err)
{
    size_t line = 1, start = 0;

    for (size_t i = 0; i < scan->at; i++)
        if (scan->text.at[i] == '\n') {
            line++;
            start = i + 1;
        }
    return error_field(err, "", "expected at most %u %s; there are more at line %zu, column %zu", max, what, line,
                       scan->at - start + 1);
}

/* From the opening quote to the closing one, or to the end. */
static void skip_string(struct scan *scan)
{
    while (++scan->at < scan->text.len && scan->text.at[scan->at] != '"')
        if (scan->text.at[scan->at] == '\\')
            scan->at++;
}

static bool is_in_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
           c == '.';
}

static void skip_word(struct scan *scan)
{
    while (scan->at + 1 < scan->text.len && is_in_word(scan->text.at[scan->at + 1]))
        scan->at++;
}

static int count_value(struct scan *scan, struct error *err)
{
    if (++scan->values > JSON_SCAN_VALUES_MAX)
        return fail(scan, "values and names", JSON_SCAN_VALUES_MAX, err);
    return 0;
}

static int scan_byte(struct scan *scan, struct error *err)
{
    char c = scan->text.at[scan->at];

    switch (c) {
    case '{':
    case '[':
        if (scan->depth == JSON_SCAN_DEPTH_MAX)
            return fail(scan, "levels of arrays and objects", JSON_SCAN_DEPTH_MAX, err);
        scan->names[++scan->depth] = 0;
        return count_value(scan, err);
    case '}':
    case ']':
        if (scan->depth > 0)
            scan->depth--;
        return 0;
    case ':':
        if (++scan->names[scan->depth] > JSON_SCAN_NAMES_MAX)
            return fail(scan, "names in an object", JSON_SCAN_NAMES_MAX, err);
        return 0;
    case '"':
        if (count_value(scan, err) < 0)
            return -1;
        skip_string(scan);
        return 0;
    default:
        if (!is_in_word(c))
            return 0;
        if (count_value(scan, err) < 0)
            return -1;
        skip_word(scan);
        return 0;
    }
}

int json_scan(struct text text, struct error *err)
{
    struct scan scan = { .text = text };

    for (; scan.at < text.len; scan.at++)
        if (scan_byte(&scan, err) < 0)
            return -1;
    return 0;
}
