/*
 * header_check: implements the rules that libmicrohttpd 0.9.75 does not enforce.
 *
 * By itself it accepts Content-Length together with Transfer-Encoding, repeated lengths, a blank before the colon, an
 * unknown transfer coding, and a request without Host.  Each of these can make a proxy and this server disagree about
 * where a request ends.
 */
#include "http/header_check.h"

#include <assert.h>
#include <string.h>

#define REFUSE(check, status_, field_, message_)                                                                       \
    do {                                                                                                               \
        if ((check)->refusal.status == 0)                                                                              \
            (check)->refusal = (struct refusal){ (status_), (field_), (message_), NULL };                              \
    } while (0)

/* RFC 9110 section 5.6.2: the syntax of methods and header names. */
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

/* Tab, visible ASCII and bytes above 0x7f (obs-text in RFC 9110), but no other control character. */
static bool is_field_value(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* A host name, an address, or "[v6]", with an optional port.  Refuses characters that no authority may hold. */
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
        REFUSE(check, 505, "", "this server supports HTTP/1.1 and HTTP/1.0");
    if (!is_token(method))
        REFUSE(check, 400, "", "the method is not a valid token");
    if (!target_ok)
        REFUSE(check, 400, "", "the request target contains a blank or a character that must be percent-encoded");
}

static void check_length(struct header_check *check, struct text value)
{
    check->lengths++;
    if (check->lengths > 1)
        REFUSE(check, 400, "Content-Length", "Content-Length must occur once");
    else if (text_parse_u64(value, &check->content_length) < 0)
        REFUSE(check, 400, "Content-Length", "Content-Length must be a decimal number");
}

static void check_encoding(struct header_check *check, struct text value)
{
    check->encodings++;
    check->chunked = text_equal_ignore_case(value, TEXT("chunked"));
    if (check->encodings > 1)
        REFUSE(check, 400, "Transfer-Encoding", "Transfer-Encoding must occur once");
    else if (!check->chunked)
        REFUSE(check, 501, "Transfer-Encoding", "the only supported transfer encoding is chunked");
}

void header_check_line(struct header_check *check, struct text name, struct text value)
{
    if (!is_token(name)) {
        REFUSE(check, 400, "", "a header name is not a valid token (is there a blank before its colon?)");
        return;
    }
    value = trimmed(value);
    if (!is_field_value(value))
        REFUSE(check, 400, "", "a header value contains a control character");

    if (text_equal_ignore_case(name, TEXT("Content-Length"))) {
        check_length(check, value);
    } else if (text_equal_ignore_case(name, TEXT("Transfer-Encoding"))) {
        check_encoding(check, value);
    } else if (text_equal_ignore_case(name, TEXT("Host"))) {
        if (++check->hosts > 1 || !is_host(value))
            REFUSE(check, 400, "Host", "Host must be one host name with an optional port");
    } else if (text_equal_ignore_case(name, TEXT("Expect"))) {
        if (!text_equal_ignore_case(value, TEXT("100-continue")))
            REFUSE(check, 417, "Expect", "the only supported expectation is 100-continue");
    }
}

void header_check_end(struct header_check *check)
{
    if (check->encodings > 0 && check->lengths > 0)
        REFUSE(check, 400, "Content-Length", "Content-Length and Transfer-Encoding must not be combined");
    if (check->encodings > 0 && !check->is_http_1_1)
        REFUSE(check, 400, "Transfer-Encoding", "HTTP/1.0 does not support Transfer-Encoding");
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

size_t header_percent_decode(char *text)
{
    size_t from = 0, to = 0;

    while (text[from] != '\0') {
        unsigned value = 0;
        if (text[from] == '%' && header_hex_pair(text + from + 1, &value) && value != 0) {
            text[to++] = (char)value;
            from += 3;
        } else {
            text[to++] = text[from++];
        }
    }
    text[to] = '\0';
    return to;
}
