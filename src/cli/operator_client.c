/* operator_client: see the header. */
#include "cli/operator_client.h"

#define ANSWER_S 30u

int operator_ask(struct http_client *http_client, const char *path, bool posts, struct buf *ret_body,
                 json_t **ret_answer, struct error *err)
{
    struct http_answer answer;
    struct text nothing = TEXT("");

    if (http_client_request(http_client, path, posts ? &nothing : NULL, ANSWER_S, &answer, err) < 0)
        return -1;
    if (answer.status < 200 || answer.status > 299) {
        (void)http_client_refused(&answer, err);
        http_answer_done(&answer);
        return -1;
    }
    json_t *decoded = json_loadb(answer.body.at != NULL ? answer.body.at : "", answer.body.len, JSON_ALLOW_NUL, NULL);
    if (decoded == NULL) {
        http_answer_done(&answer);
        return error_set(err, ERROR_BUG, 0, "the response of the server is not JSON");
    }
    *ret_body = answer.body;
    *ret_answer = decoded;
    return 0;
}

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

long long json_whole(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}
