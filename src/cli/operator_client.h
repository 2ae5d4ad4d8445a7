/* asking: what operators' commands share: one request, and its answer as JSON. */
#pragma once
#include <jansson.h>

#include "cli/command_line.h"
#include "cli/http_client.h"

/* GET, or POST where `posts`.  A refusal is an error in the server's words. */
int operator_ask(struct http_client *http_client, const char *path, bool posts, struct buf *ret_body,
                 json_t **ret_answer, struct error *err);

const char *json_text(const json_t *object, const char *key); /* "" where it is none */
long long json_whole(const json_t *object, const char *key);  /* 0 where it is none */
