/*
 * poll_result: polls a submission until it has ended and prints it, for `submit --wait` and `status`.
 */
#pragma once
#include <jansson.h>

#include "cli/command_line.h"
#include "cli/http_client.h"

#define WAIT_S_DEFAULT 300u

/* The value of --wait[=SECONDS], 0 if it was not given.  Returns -1 after a usage error. */
int wait_seconds(const struct invocation *invocation, size_t option, uint32_t *ret_seconds);

/* Gets the submission; polls until it has ended or wait_s have passed.  *ret_body is the last response. */
int poll_submission(struct http_client *http_client, const char *token, uint32_t wait_s, struct buf *ret_body,
                    json_t **ret_answer, struct error *err);

/*
 * Prints the body with as_json, else a table.  Returns the exit status: EVALX_EXIT_OK if every result is accepted, or
 * if the submission has not ended and `waited` is false; EVALX_EXIT_FAILURE if the submission is Failed, or has not
 * ended and `waited` is true; otherwise EVALX_EXIT_NOT_ACCEPTED.
 */
int print_submission(const json_t *answer, const struct buf *body, bool as_json, bool waited);
