/* query: decodes the parameters once, into one allocation. */
#include "http/query.h"

#include <stdlib.h>
#include <string.h>

#include "http/header_check.h"

static void add(struct query *query, struct text encoded)
{
    char *to = query->at + query->len;

    for (size_t i = 0; i < encoded.len; i++)
        to[i] = encoded.at[i] == '+' ? ' ' : encoded.at[i];
    to[encoded.len] = '\0';
    query->len += header_percent_decode(to) + 1;
}

static size_t length_until(struct text text, char end)
{
    const char *found = text.len > 0 ? memchr(text.at, end, text.len) : NULL;

    return found != NULL ? (size_t)(found - text.at) : text.len;
}

int query_init(struct query *query, struct text encoded)
{
    /* A pair such as "&a" grows most: from two bytes to three. */
    *query = (struct query){ .at = malloc(2 * encoded.len + 2) };
    if (query->at == NULL)
        return -1;
    while (encoded.len > 0) {
        struct text pair = { encoded.at, length_until(encoded, '&') };
        size_t step = pair.len < encoded.len ? pair.len + 1 : pair.len;
        struct text name = { pair.at, length_until(pair, '=') };
        struct text value = { pair.at + name.len, pair.len - name.len };
        if (value.len > 0) {
            value.at++;
            value.len--;
        }
        if (pair.len > 0) {
            add(query, name);
            add(query, value);
        }
        encoded.at += step;
        encoded.len -= step;
    }
    return 0;
}

void query_done(struct query *query)
{
    free(query->at);
    *query = (struct query){ 0 };
}

bool query_next(const struct query *query, size_t *at, struct text *ret_name, struct text *ret_value)
{
    if (*at >= query->len)
        return false;
    *ret_name = text_of(query->at + *at);
    *ret_value = text_of(ret_name->at + ret_name->len + 1);
    *at += ret_name->len + ret_value->len + 2;
    return true;
}
