/*
 * request_check: what the root side asks of a message before it acts on it.  The worker that sent it may have been
 * taken over, so nothing in it is believed; these functions touch nothing but their arguments, and are fuzzed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/protocol.h"

#define REQUEST_WORDS_MAX (SLOT_WORDS_MAX + 2) /* argv, NULL, env, NULL */

/* It becomes a part of a path of the host: a-z, 0-9, '.', '_', '-', '+', not begun by '.' or '-', ended by NUL. */
bool request_image_name_is_plain(const char name[CONTROL_IMAGE_BYTES]);

/*
 * Checks a SLOT_RUN and the descriptors that came with it, clamps its limits to the ceilings of protocol.h and to
 * `memory_max` bytes, and points `words` at its argv and environment, which stay in the request.  0, or an errno and
 * *ret_why.  Closes nothing.
 */
int request_check_run(struct slot_request *request, uint64_t memory_max, const int fds[], size_t fds_len,
                      char *words[REQUEST_WORDS_MAX], const char **ret_why);

/* What a run gets of this machine's memory, at most: SLOT_MEMORY_EIGHTHS of it. */
uint64_t request_memory_max(void);
