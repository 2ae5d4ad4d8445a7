/* redis_address: parses redis[s]://[user[:password]@]host[:port][/database]. */
#include <string.h>

#include "base/text.h"
#include "queue/redis/connection.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Copies one part and decodes %XX.  Errors name the part by `what` and never quote it: it may be the password. */
static int decode(struct text part, const char *what, char *ret, size_t ret_bytes, struct error *err)
{
    size_t len = 0;
    for (size_t i = 0; i < part.len; i++) {
        char c = part.at[i];
        if (c == '%') {
            int high = i + 2 < part.len ? hex_digit(part.at[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(part.at[i + 2]) : -1;
            if (low < 0 || high + low == 0)
                return error_set(err, ERROR_SETUP, 0, "store: %s of redis://: %% must be followed by two digits 0-9a-f",
                                 what);
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (len + 1 >= ret_bytes)
            return error_set(err, ERROR_SETUP, 0, "store: %s of redis:// is too long", what);
        ret[len++] = c;
    }
    ret[len] = '\0';
    return 0;
}

/* Takes the text before `mark` off *rest.  Returns false and takes all of *rest if there is no mark. */
static bool split(struct text *rest, char mark, struct text *ret_front)
{
    const char *at = rest->len > 0 ? memchr(rest->at, mark, rest->len) : NULL;
    if (at == NULL) {
        *ret_front = *rest;
        *rest = (struct text){ NULL, 0 };
        return false;
    }
    *ret_front = (struct text){ rest->at, (size_t)(at - rest->at) };
    *rest = (struct text){ at + 1, rest->len - ret_front->len - 1 };
    return true;
}

static int parse_user(struct text user, struct redis_address *ret, struct error *err)
{
    struct text name, password = user;
    (void)split(&password, ':', &name);
    if (decode(name, "the user", ret->user, sizeof ret->user, err) < 0)
        return -1;
    return decode(password, "the password", ret->password, sizeof ret->password, err);
}

static int parse_host(struct text rest, struct redis_address *ret, struct error *err)
{
    struct text host, port = rest;
    if (rest.len > 0 && rest.at[0] == '[') { /* IPv6 */
        port = (struct text){ rest.at + 1, rest.len - 1 };
        if (!split(&port, ']', &host) || (port.len > 0 && port.at[0] != ':'))
            return error_set(err, ERROR_SETUP, 0, "store: redis://: expected [IPv6 address] or [IPv6 address]:port");
        port = port.len > 0 ? (struct text){ port.at + 1, port.len - 1 } : (struct text){ "6379", 4 };
    } else if (!split(&port, ':', &host)) {
        port = TEXT("6379");
    }
    uint64_t number;
    if (host.len == 0)
        return error_set(err, ERROR_SETUP, 0, "store: redis://: a host is missing");
    if (text_parse_u64(port, &number) < 0 || number == 0 || number > 65535)
        return error_set(err, ERROR_SETUP, 0, "store: redis://: the port must be a number from 1 to 65535");
    (void)snprintf(ret->port, sizeof ret->port, "%u", (unsigned)number);
    return decode(host, "the host", ret->host, sizeof ret->host, err);
}

int redis_address_parse(const char *url, struct redis_address *ret, struct error *err)
{
    struct redis_address address = { 0 };
    struct text rest = text_of(url), front;
    address.uses_tls = rest.len >= 9 && memcmp(rest.at, "rediss://", 9) == 0;
    if (!address.uses_tls && (rest.len < 8 || memcmp(rest.at, "redis://", 8) != 0))
        return error_set(err, ERROR_SETUP, 0, "store: expected redis[s]://[user@]host[:port][/db]");
    size_t scheme_len = address.uses_tls ? 9 : 8;
    rest = (struct text){ rest.at + scheme_len, rest.len - scheme_len };
    if (memchr(rest.at, ',', rest.len) != NULL)
        return error_set(err, ERROR_SETUP, 0, "store: expected one redis:// address, not a list");

    struct text before_slash, database = rest;
    bool has_database = split(&database, '/', &before_slash);
    rest = before_slash;
    if (split(&rest, '@', &front)) {
        if (parse_user(front, &address, err) < 0)
            return -1;
    } else {
        rest = front;
    }
    if (parse_host(rest, &address, err) < 0)
        return -1;
    uint64_t number = 0;
    if (has_database && database.len > 0 && (text_parse_u64(database, &number) < 0 || number > 9999))
        return error_set(err, ERROR_SETUP, 0, "store: redis://: the database must be a number");
    address.database = (unsigned)number;
    *ret = address;
    return 0;
}
