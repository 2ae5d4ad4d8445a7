/*
 * request_check: what the root side checks in a message before it acts on it.  An attacker may control the worker that
 * sent it, so nothing in it is trusted.  The functions touch only their arguments, and are fuzzed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/protocol.h"

#define REQUEST_WORDS_MAX (SLOT_WORDS_MAX + 2) /* argv, NULL, env, NULL */

/* An image's name becomes a part of a path: a-z, 0-9, '.', '_', '-', '+', not first '.' or '-', NUL-terminated. */
bool request_image_name_is_plain(const char name[CONTROL_IMAGE_BYTES]);

/*
 * Checks a SLOT_RUN and its descriptors, clamps its limits to the ceilings of protocol.h and to memory_max bytes, and
 * points `words` to its argv and environment, which stay in the request.  0, or an errno and *ret_why.  Closes no
 * descriptor.
 */
int request_check_run(struct slot_request *request, uint64_t memory_max, const int fds[], size_t fds_len,
                      char *words[REQUEST_WORDS_MAX], const char **ret_why);

/* The most memory that a run may have: SLOT_MEMORY_EIGHTHS of the machine's. */
uint64_t request_memory_max(void);
