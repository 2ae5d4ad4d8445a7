/*
 * header_check: what makes a request's head acceptable.
 *
 * libmicrohttpd 0.9.75 by itself accepts Content-Length beside Transfer-Encoding, repeated lengths, a blank before
 * the colon, an unknown transfer coding and a request without Host: each of them is a way to make a proxy and us
 * disagree about where a request ends.  All of them are refused here.
 */
#include "http/header_check.h"

#include <assert.h>
#include <string.h>

#define REFUSE(check, status_, field_, message_)                                                                       \
    do {                                                                                                               \
        if ((check)->refusal.status == 0)                                                                              \
            (check)->refusal = (struct refusal){ (status_), (field_), (message_) };                                    \
    } while (0)

/* RFC 9110 section 5.6.2: the characters of method and header names. */
static bool is_token(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool is_letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter_or_digit && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

static struct text trimmed(struct text text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Tab and everything visible, bytes over 0x7f too (RFC 9110 calls them obs-text); no other control character. */
static bool is_field_value(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* A host name, an address, or "[v6]", with an optional port; what no URL's authority may hold is refused. */
static bool is_host(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= 0x20 || c >= 0x7f || strchr("/\\?#@<>\"{}|^`,", c) != NULL)
            return false;
    }
    return true;
}

bool header_target_is_valid(struct text target)
{
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.at[i] <= 0x20 || (unsigned char)target.at[i] >= 0x7f)
            return false;
    return target.len > 0;
}

bool header_has_word(struct text value, struct text word)
{
    assert(word.len > 0);
    size_t from = 0;

    for (size_t i = 0; i <= value.len; i++) {
        if (i < value.len && value.at[i] != ',')
            continue;
        if (text_equal_ignore_case(trimmed((struct text){ value.at + from, i - from }), word))
            return true;
        from = i + 1;
    }
    return false;
}

void header_check_start(struct header_check *check, struct text method, bool target_ok, struct text version)
{
    *check = (struct header_check){ .is_http_1_1 = text_equal(version, TEXT("HTTP/1.1")) };

    if (!check->is_http_1_1 && !text_equal(version, TEXT("HTTP/1.0")))
        REFUSE(check, 505, "", "this server speaks HTTP/1.1 and HTTP/1.0");
    if (!is_token(method))
        REFUSE(check, 400, "", "the method is not a word");
    if (!target_ok)
        REFUSE(check, 400, "", "the request target holds a blank or a character that must be percent-encoded");
}

static void check_length(struct header_check *check, struct text value)
{
    check->lengths++;
    check->has_length = true;
    if (check->lengths > 1)
        REFUSE(check, 400, "Content-Length", "Content-Length must be given once");
    else if (text_parse_u64(value, &check->content_length) < 0)
        REFUSE(check, 400, "Content-Length", "Content-Length must be a decimal number");
}

static void check_encoding(struct header_check *check, struct text value)
{
    check->encodings++;
    check->chunked = text_equal_ignore_case(value, TEXT("chunked"));
    if (check->encodings > 1)
        REFUSE(check, 400, "Transfer-Encoding", "Transfer-Encoding must be given once");
    else if (!check->chunked)
        REFUSE(check, 501, "Transfer-Encoding", "the only transfer encoding understood here is chunked");
}

void header_check_line(struct header_check *check, struct text name, struct text value)
{
    if (!is_token(name)) {
        REFUSE(check, 400, "", "a header's name is not a word (is there a blank before its colon?)");
        return;
    }
    value = trimmed(value);
    if (!is_field_value(value))
        REFUSE(check, 400, "", "a header's value holds a control character");

    if (text_equal_ignore_case(name, TEXT("Content-Length"))) {
        check_length(check, value);
    } else if (text_equal_ignore_case(name, TEXT("Transfer-Encoding"))) {
        check_encoding(check, value);
    } else if (text_equal_ignore_case(name, TEXT("Host"))) {
        if (++check->hosts > 1 || !is_host(value))
            REFUSE(check, 400, "Host", "Host must be one host name, with a port or without");
    } else if (text_equal_ignore_case(name, TEXT("Expect"))) {
        if (!text_equal_ignore_case(value, TEXT("100-continue")))
            REFUSE(check, 417, "Expect", "the only expectation met here is 100-continue");
    }
}

void header_check_end(struct header_check *check)
{
    if (check->encodings > 0 && check->lengths > 0)
        REFUSE(check, 400, "Content-Length", "Content-Length and Transfer-Encoding exclude each other");
    if (check->encodings > 0 && !check->is_http_1_1)
        REFUSE(check, 400, "Transfer-Encoding", "HTTP/1.0 has no Transfer-Encoding");
    if (check->is_http_1_1 && check->hosts == 0)
        REFUSE(check, 400, "Host", "HTTP/1.1 requires a Host header");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool header_hex_pair(const char *at, unsigned *ret_value)
{
    int high = hex_digit(at[0]);
    int low = high < 0 ? -1 : hex_digit(at[1]);

    if (low < 0)
        return false;
    *ret_value = (unsigned)(high * 16 + low);
    return true;
}
