/* error_pattern: see the header. */
#include "model/error_pattern.h"

#include <string.h>

#define SOURCE TEXT("{source}")
#define NUMBER TEXT("{number}")

static bool begins(struct text text, struct text with)
{
    return text.len >= with.len && memcmp(text.at, with.at, with.len) == 0;
}

static struct text without(struct text text, size_t len)
{
    return (struct text){ text.at + len, text.len - len };
}

int error_pattern_check(struct text pattern, struct error *err)
{
    if (pattern.len == 0 || pattern.at[0] == '*')
        return error_set(err, ERROR_SETUP, 0, "expected text that begins with the start of a line");
    for (struct text rest = pattern; rest.len > 0; rest = without(rest, 1)) {
        if (begins(rest, TEXT("*{number}"))) /* a long number would be read again from each of its digits */
            return error_set(err, ERROR_SETUP, 0, "expected other text between * and {number}");
        if (rest.at[0] == '{' && !begins(rest, SOURCE) && !begins(rest, NUMBER))
            return error_set(err, ERROR_SETUP, 0, "\"%.40s\" has no such placeholder", rest.at);
    }
    return 0;
}

static size_t digits(struct text text)
{
    size_t len = 0;

    while (len < text.len && text.at[len] >= '0' && text.at[len] <= '9')
        len++;
    return len;
}

/* Removes the part, which contains no '*', from the start of *text.  False if it is not there. */
static bool take_part(struct text part, struct text source, struct text *text)
{
    struct text rest = *text;

    while (part.len > 0) {
        size_t taken = 1, of_part = 1;
        struct text wanted = { part.at, 1 };
        if (begins(part, SOURCE)) {
            wanted = source;
            of_part = SOURCE.len;
        } else if (begins(part, TEXT("\\n")) || begins(part, TEXT("\\t"))) {
            wanted = part.at[1] == 'n' ? TEXT("\n") : TEXT("\t");
            of_part = 2;
        }
        if (begins(part, NUMBER)) {
            of_part = NUMBER.len;
            taken = digits(rest);
            if (taken == 0)
                return false;
        } else if (begins(rest, wanted)) {
            taken = wanted.len;
        } else {
            return false;
        }
        part = without(part, of_part);
        rest = without(rest, taken);
    }
    *text = rest;
    return true;
}

/* The part of the pattern before the next '*', which is removed from it, too. */
static struct text next_part(struct text *pattern)
{
    const char *star = memchr(pattern->at, '*', pattern->len);
    struct text part = { pattern->at, star != NULL ? (size_t)(star - pattern->at) : pattern->len };

    *pattern = without(*pattern, part.len + (star != NULL ? 1 : 0));
    return part;
}

/* Whether the text has the other parts in their order.  The first place of each leaves the most to those after it. */
static bool has_parts(struct text pattern, struct text source, struct text text)
{
    while (pattern.len > 0) {
        struct text part = next_part(&pattern);
        while (!take_part(part, source, &text)) {
            if (text.len == 0)
                return false;
            text = without(text, 1);
        }
    }
    return true;
}

static bool is_found(struct text pattern, struct text source, struct text text)
{
    struct text first = next_part(&pattern);

    while (text.len > 0) {
        struct text rest = text;
        if (take_part(first, source, &rest))
            return has_parts(pattern, source, rest); /* what is missing after this line is missing after later ones */
        const char *end = memchr(text.at, '\n', text.len);
        text = without(text, end != NULL ? (size_t)(end - text.at) + 1 : text.len);
    }
    return false;
}

bool error_pattern_found(const struct text *patterns, size_t len, struct text source, struct text errors)
{
    for (size_t i = 0; i < len && errors.len > 0; i++)
        if (is_found(patterns[i], source, errors))
            return true;
    return false;
}
