/*
 * header_check: implements the rules that libmicrohttpd 0.9.75 does not enforce.
 *
 * By itself it accepts Content-Length together with Transfer-Encoding, repeated lengths, a blank before the colon, an
 * unknown transfer coding, and a request without Host.  Each of these can make a proxy and this server disagree about
 * where a request ends.
 */
#include "http/header_check.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <strings.h>

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

struct text header_trim(struct text text)
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
        if (text_equal_ignore_case(header_trim((struct text){ value.at + from, i - from }), word))
            return true;
        from = i + 1;
    }
    return false;
}

/* The host without its port and the brackets of an IPv6 address. */
static struct text host_name(struct text host)
{
    if (host.at == NULL || host.len == 0)
        return TEXT("");
    const char *end = memrchr(host.at, ':', host.len);
    const char *bracket = memrchr(host.at, ']', host.len);

    if (bracket != NULL && host.at[0] == '[')
        return (struct text){ host.at + 1, (size_t)(bracket - host.at) - 1 };
    return end != NULL ? (struct text){ host.at, (size_t)(end - host.at) } : host;
}

bool header_host_is_loopback(struct text host)
{
    static const struct text suffix = { ".localhost", 10 };
    struct text name = host_name(host);
    char address[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (name.len > 0 && name.at[name.len - 1] == '.')
        name.len--;
    if (text_equal_ignore_case(name, TEXT("localhost")) ||
        (name.len > suffix.len &&
         text_equal_ignore_case((struct text){ name.at + name.len - suffix.len, suffix.len }, suffix)))
        return true;
    if (name.len == 0 || name.len >= sizeof address)
        return false;
    memcpy(address, name.at, name.len);
    address[name.len] = '\0';
    if (inet_pton(AF_INET, address, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool header_host_is_among(struct text host, struct text names)
{
    return header_has_word(names, TEXT("*")) || (host.len > 0 && header_has_word(names, host_name(host)));
}

bool header_origin_is_host(struct text origin, struct text host)
{
    static const char *const schemes[] = { "http://", "https://" };

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct text scheme = text_of(schemes[i]);
        if (host.len > 0 && origin.len == scheme.len + host.len &&
            text_equal_ignore_case((struct text){ origin.at, scheme.len }, scheme) &&
            text_equal_ignore_case((struct text){ origin.at + scheme.len, host.len }, host))
            return true;
    }
    return false;
}

bool header_is_media_type(struct text value, struct text type)
{
    const char *end = value.len > 0 ? memchr(value.at, ';', value.len) : NULL;

    return text_equal_ignore_case(
        header_trim((struct text){ value.at, end != NULL ? (size_t)(end - value.at) : value.len }), type);
}

const char *header_target_path(const char *target, struct text *ret_authority)
{
    static const char *const schemes[] = { "http://", "https://" };

    *ret_authority = (struct text){ 0 };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (strncasecmp(target, schemes[i], len) != 0)
            continue;
        *ret_authority = (struct text){ target + len, strcspn(target + len, "/") };
        const char *path = ret_authority->at + ret_authority->len;
        return *path != '\0' ? path : "/";
    }
    return target;
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

/* Headers of which a second line would leave open which one counts. */
static void check_once(struct header_check *check, struct text name)
{
    static const char *const once[] = {
        "Authorization", "X-Api-Key",         "Idempotency-Key",       "Content-Type", "Content-Encoding",
        "Origin",        "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Expect"
    };

    for (uint32_t i = 0; i < sizeof once / sizeof *once; i++) {
        if (!text_equal_ignore_case(name, text_of(once[i])))
            continue;
        if ((check->seen & 1u << i) != 0)
            REFUSE(check, 400, once[i], "this header may occur only once");
        check->seen |= 1u << i;
    }
}

void header_check_line(struct header_check *check, struct text name, struct text value)
{
    if (!is_token(name)) {
        REFUSE(check, 400, "", "a header name is not a valid token (is there a blank before its colon?)");
        return;
    }
    value = header_trim(value);
    if (!is_field_value(value))
        REFUSE(check, 400, "", "a header value contains a control character");
    check_once(check, name);

    if (text_equal_ignore_case(name, TEXT("Content-Length"))) {
        check_length(check, value);
    } else if (text_equal_ignore_case(name, TEXT("Transfer-Encoding"))) {
        check_encoding(check, value);
    } else if (text_equal_ignore_case(name, TEXT("Host"))) {
        check->host = value;
        if (++check->hosts > 1 || !is_host(value))
            REFUSE(check, 400, "Host", "Host must be one host name with an optional port");
    } else if (text_equal_ignore_case(name, TEXT("Expect"))) {
        if (!text_equal_ignore_case(value, TEXT("100-continue")))
            REFUSE(check, 417, "Expect", "the only supported expectation is 100-continue");
    } else if (text_equal_ignore_case(name, TEXT("Origin"))) {
        check->origin = value;
    } else if (text_equal_ignore_case(name, TEXT("Content-Type"))) {
        check->content_type = value;
    } else if (text_equal_ignore_case(name, TEXT("Content-Encoding"))) {
        check->has_content_coding = value.len > 0 && !text_equal_ignore_case(value, TEXT("identity"));
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
    if (check->has_content_coding && header_check_has_body(check))
        REFUSE(check, 415, "Content-Encoding", "the body must have no content coding; send it uncompressed");
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
