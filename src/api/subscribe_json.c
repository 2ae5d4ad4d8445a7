/*
 * subscribe_json: decodes with jansson.
 */
#include "api/subscribe_json.h"

#include <jansson.h>

static void json_release(json_t **json)
{
    json_decref(*json);
}

static int check_tokens(const json_t *tokens, struct error *err)
{
    char field[32];

    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const json_t *token = json_array_get(tokens, i);
        if (!json_is_string(token) ||
            !token_is_valid((struct text){ json_string_value(token), json_string_length(token) })) {
            (void)snprintf(field, sizeof field, "subscribe[%zu]", i);
            return error_field(err, field, "expected the 26 characters of a token");
        }
    }
    return 0;
}

int subscribe_decode(struct text message, subscribe_token *each, void *context, struct error *err)
{
    json_error_t json_err;
    __attribute__((cleanup(json_release))) json_t *json =
        json_loadb(message.at != NULL ? message.at : "", message.len, JSON_REJECT_DUPLICATES, &json_err);
    if (json == NULL)
        return error_field(err, "", "not valid JSON at line %d, column %d: %s", json_err.line, json_err.column,
                           json_err.text);
    const json_t *tokens = json_object_get(json, "subscribe");
    if (!json_is_array(tokens))
        return error_field(err, "subscribe", "expected {\"subscribe\": [\"TOKEN\", ...]}");
    if (check_tokens(tokens, err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(tokens); i++)
        if (!each(context, json_string_value(json_array_get(tokens, i))))
            return 0;
    return 0;
}
