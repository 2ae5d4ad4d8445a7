/*
 * auth: authenticates requests by API key, before any handler runs.
 *
 * Without a file of API keys every request is allowed.  The routes for load balancers and Prometheus need no key.  A
 * key is only accepted in a header, because URLs end up in logs.
 */
#include "api/routes.h"

/* "Bearer KEY"; the scheme is case-insensitive (RFC 9110 section 11.1). */
static bool read_bearer(struct text value, struct text *ret)
{
    static const struct text scheme = { "Bearer ", 7 };
    if (value.len <= scheme.len || !text_equal_ignore_case((struct text){ value.at, scheme.len }, scheme))
        return false;
    *ret = (struct text){ value.at + scheme.len, value.len - scheme.len };
    while (ret->len > 0 && *ret->at == ' ') {
        ret->at++;
        ret->len--;
    }
    return ret->len > 0;
}

static bool needs_no_key(struct text path)
{
    static const char *const paths[] = { "/healthz", "/readyz", "/metrics" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (text_equal(path, text_of(paths[i])))
            return true;
    return false;
}

bool auth_check(struct exchange *exchange, void *context)
{
    static const char *const challenge[] = { "WWW-Authenticate: Bearer realm=\"evalx\"", NULL };
    static const struct refusal no_key = { 401, "Authorization",
                                           "an API key is required: Authorization: Bearer KEY, or X-Api-Key: KEY",
                                           NULL };
    static const struct refusal wrong_key = { 401, "Authorization", "unknown API key", NULL };
    const struct api *api = context;
    struct text value, key = { 0 };

    if (api->api_keys == NULL || needs_no_key(exchange_path(exchange)))
        return true;
    bool given = exchange_header(exchange, "Authorization", &value) && read_bearer(value, &key);
    given = given || (exchange_header(exchange, "X-Api-Key", &key) && key.len > 0);
    const struct api_client *client = given ? api_keys_find(api->api_keys, key) : NULL;
    if (client == NULL) {
        exchange_respond_refusal(exchange, given ? &wrong_key : &no_key, challenge);
        return false;
    }
    exchange_set_client(exchange, client);
    return true;
}

bool auth_check_operator(struct exchange *exchange, const struct api *api)
{
    static const struct refusal not_operator = { 403, "", "only the client named operator may do this", NULL };
    static const struct refusal not_local = {
        403, "", "without API keys this is only allowed from the server's own machine (127.0.0.1 or ::1)", NULL
    };
    const struct api_client *client = exchange_client(exchange);

    if (client != NULL ? strcmp(client->store.name, CLIENT_OPERATOR) == 0 : exchange_is_local(exchange))
        return true;
    exchange_respond_refusal(exchange, api->api_keys != NULL ? &not_operator : &not_local, NULL);
    return false;
}
