/* operator_client: one request of an operator's command, with the response as JSON. */
#pragma once
#include <jansson.h>

#include "cli/command_line.h"
#include "cli/http_client.h"

/* GET, or POST if `posts`.  A refusal is an error with the server's message. */
int operator_ask(struct http_client *http_client, const char *path, bool posts, struct buf *ret_body,
                 json_t **ret_answer, struct error *err);

const char *json_text(const json_t *object, const char *key); /* "" if it is not a string */
long long json_whole(const json_t *object, const char *key);  /* 0 if it is not an integer */
