/*
 * waiting: what `submit --wait` and `status` share: asking for a submission until it has ended, and showing it.
 */
#pragma once
#include <jansson.h>

#include "cli/command_line.h"
#include "cli/http_client.h"

#define WAIT_S_DEFAULT 300u

/* The value of --wait[=SECONDS]: 0 where it was not given.  -1: no number, and the usage error is printed. */
int wait_seconds(const struct invocation *invocation, size_t option, uint32_t *ret_seconds);

/* Asks for the submission; with wait_s > 0 until it has ended or so long has passed.  *ret_body is the last answer. */
int submission_ask(struct http_client *http_client, const char *token, uint32_t wait_s, struct buf *ret_body,
                   json_t **ret_answer, struct error *err);

/*
 * Prints it (the body as it is with as_json, else a table).  EVALX_EXIT_OK: every result is accepted, or it has not ended
 * and nobody asked to wait; EVALX_EXIT_NOT_ACCEPTED; EVALX_EXIT_FAILURE: Failed, or not ended within the wait.
 */
int submission_show(const json_t *answer, const struct buf *body, bool as_json, bool waited);
