/*
 * The head of a request, which any client controls: "METHOD TARGET VERSION", then one line for each header.
 * An accepted head must be unambiguous.  A second, simpler parser here checks that.
 */
#include "fuzz.h"

#include "http/header_check.h"
#include "http/query.h"

static struct text cut_at(struct text *rest, char end)
{
    const char *found = rest->len > 0 ? memchr(rest->at, end, rest->len) : NULL;
    size_t len = found != NULL ? (size_t)(found - rest->at) : rest->len;
    struct text piece = { rest->at, len };

    *rest = found != NULL ? (struct text){ found + 1, rest->len - len - 1 } : (struct text){ rest->at + len, 0 };
    return piece;
}

/* The number of lines that a strict parser behind a proxy would accept as this header. */
static uint32_t count(struct text headers, struct text wanted)
{
    uint32_t counted = 0;

    while (headers.len > 0) {
        struct text line = cut_at(&headers, '\n');
        if (text_equal_ignore_case(cut_at(&line, ':'), wanted))
            counted++;
    }
    return counted;
}

/* Each parameter is a part of the query, so no step may add bytes. */
static void check_query(struct text encoded)
{
    struct query query;
    struct text name, value;
    size_t total = 0;

    if (query_init(&query, encoded) < 0)
        return;
    for (size_t at = 0; query_next(&query, &at, &name, &value);)
        total += name.len + value.len;
    assert(total <= encoded.len);
    query_done(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct text rest = { (const char *)bytes, len };
    struct text head = cut_at(&rest, '\n');
    struct text method = cut_at(&head, ' ');
    struct text target = cut_at(&head, ' ');
    struct text headers = rest;
    struct header_check check;

    check_query(target);
    header_check_start(&check, method, header_target_is_valid(target), head);
    while (rest.len > 0) {
        struct text value = cut_at(&rest, '\n');
        struct text name = cut_at(&value, ':');
        header_check_line(&check, name, value);
        (void)header_has_word(value, TEXT("upgrade"));
    }
    header_check_end(&check);
    if (check.refusal.status != 0) {
        assert(check.refusal.status >= 400 && check.refusal.status <= 505);
        assert(check.refusal.message[0] != '\0' && text_is_utf8(text_of(check.refusal.message)));
        return 0;
    }
    uint32_t lengths = count(headers, TEXT("content-length")), codings = count(headers, TEXT("transfer-encoding"));
    assert(lengths + codings <= 1 && lengths == check.lengths && codings == check.encodings);
    assert(check.chunked == (codings == 1));
    assert(count(headers, TEXT("host")) == 1 || !check.is_http_1_1);
    assert(header_check_has_body(&check) == (check.chunked || check.content_length > 0));
    assert(method.len > 0 && memchr(target.at, '\0', target.len) == NULL);
    return 0;
}
