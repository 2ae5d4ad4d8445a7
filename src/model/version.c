/* version: see the header. */
#include "model/version.h"

/* Removes the leading number from *rest.  Returns -1 if there is none or it does not fit. */
static int take_number(struct text *rest, uint64_t *ret)
{
    size_t len = 0;

    while (len < rest->len && rest->at[len] >= '0' && rest->at[len] <= '9')
        len++;
    if (len == 0 || text_parse_u64((struct text){ rest->at, len }, ret) < 0)
        return -1;
    *rest = (struct text){ rest->at + len, rest->len - len };
    return 0;
}

static bool is_any_number(struct text rest)
{
    return text_equal_ignore_case(rest, TEXT("x")) || text_equal(rest, TEXT("*"));
}

bool version_parse(struct text text, struct version *ret)
{
    struct version version = { 0 };

    for (;;) {
        if (version.numbers_len > 0 && is_any_number(text)) {
            text.len = 0;
            break;
        }
        if (version.numbers_len == VERSION_NUMBERS_MAX || take_number(&text, &version.numbers[version.numbers_len]) < 0)
            return false;
        version.numbers_len++;
        if (text.len == 0 || text.at[0] != '.')
            break;
        text = (struct text){ text.at + 1, text.len - 1 };
    }
    if (text.len > 0 && text.at[0] != '-' && text.at[0] != '+')
        return false;
    if (text.len > 0 && text.at[0] == '-')
        version.suffix = (struct text){ text.at + 1, text.len - 1 };
    *ret = version;
    return true;
}

static int compare_numbers(const struct version *a, const struct version *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (a->numbers[i] != b->numbers[i])
            return a->numbers[i] < b->numbers[i] ? -1 : 1;
    return 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

int version_compare(const struct version *a, const struct version *b)
{
    int order = compare_numbers(a, b, least(a->numbers_len, b->numbers_len));

    return order != 0 ? order : (a->numbers_len > b->numbers_len) - (a->numbers_len < b->numbers_len);
}

int version_compare_minor(const struct version *a, const struct version *b)
{
    return compare_numbers(a, b, least(2, least(a->numbers_len, b->numbers_len)));
}
