/*
 * admit: before each handler: whose request is this, and may it be made?
 *
 * Without a file of API keys everybody may use the API, as one client without a name.  What load balancers and
 * Prometheus ask stays open always.  Keys come in a header, never in a URL: URLs are logged on their way.
 */
#include "api/api_keys.h"
#include "api/routes.h"

/* "Bearer KEY": the scheme's case does not matter (RFC 9110 section 11.1). */
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

static bool is_open(struct text path)
{
    static const char *const open[] = { "/healthz", "/readyz", "/metrics" };
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (text_equal(path, text_of(open[i])))
            return true;
    return false;
}

bool auth_check(struct exchange *exchange, void *context)
{
    static const char *const challenge[] = { "WWW-Authenticate: Bearer realm=\"evalx\"", NULL };
    static const struct refusal no_key = { 401, "Authorization",
                                           "an API key is needed: Authorization: Bearer KEY, or X-Api-Key: KEY" };
    static const struct refusal wrong_key = { 401, "Authorization", "this API key is not known" };
    const struct api *api = context;
    struct text value, key = { 0 };

    if (api->clients == NULL || is_open(exchange_path(exchange)))
        return true;
    bool given = exchange_header(exchange, "Authorization", &value) && read_bearer(value, &key);
    given = given || (exchange_header(exchange, "X-Api-Key", &key) && key.len > 0);
    const struct store_client *client = given ? clients_find(api->clients, key) : NULL;
    if (client == NULL) {
        exchange_answer_refusal(exchange, given ? &wrong_key : &no_key, challenge);
        return false;
    }
    exchange_set_client(exchange, client);
    return true;
}

bool auth_check_operator(struct exchange *exchange, const struct api *api)
{
    static const struct refusal not_operator = { 403, "", "only the client named operator may do this" };
    static const struct refusal not_local = {
        403, "", "without API keys this is for the server's own machine only (from 127.0.0.1 or ::1)"
    };
    const struct store_client *client = exchange_client(exchange);

    if (client != NULL ? strcmp(client->name, CLIENT_OPERATOR) == 0 : exchange_is_local(exchange))
        return true;
    exchange_answer_refusal(exchange, api->clients != NULL ? &not_operator : &not_local, NULL);
    return false;
}
