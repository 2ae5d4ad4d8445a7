/*
 * shared_body: the body of responses, in two pieces, of which all responses to requests for the same thing share one
 * copy.  It does not change, and its bytes count towards server_settings.answers_bytes_max once.  Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct exchange;
struct shared_body;

/*
 * Moves the pieces out of *head and *rest.  With one owner; NULL if memory ran out, then it moves nothing.  For
 * responses of the exchange's server.
 */
struct shared_body *shared_body_new(const struct exchange *exchange, struct buf *head, struct buf *rest);
struct shared_body *shared_body_hold(struct shared_body *body);
void shared_body_release(struct shared_body *body); /* NULL is fine */
size_t shared_body_owners(const struct shared_body *body);
size_t shared_body_len(const struct shared_body *body);
/* Copies at most `max` bytes from the offset, which is less than the length, and returns how many. */
size_t shared_body_read(const struct shared_body *body, uint64_t offset, char *to, size_t max);
