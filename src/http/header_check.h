/*
 * header_check: the rules for a request's head, applied before any handler runs.  Pure: no I/O, no clock.
 *
 * The rules make a proxy and this server agree on where a request ends (RFC 9112 section 6.3, RFC 9110 section 5).  An
 * ambiguous head is refused, never guessed.  Use:
 *
 *     header_check_start(&check, method, target_ok, version);
 *     for each header line: header_check_line(&check, name, value);
 *     header_check_end(&check);
 *     if (check.refusal.status != 0) ... respond with it and close the connection ...
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "http/error_response.h"

struct header_check {
    struct refusal refusal; /* of the first broken rule; its strings are literals */
    bool is_http_1_1;
    bool chunked;
    uint64_t content_length;
    uint32_t hosts, lengths, encodings;     /* number of lines with each header */
    uint32_t seen;                          /* which of the headers that must occur once have occurred */
    struct text host, origin, content_type; /* borrowed; "" if absent */
    bool has_content_coding;
};

/* `target_ok`: header_target_is_valid of the target as it was sent. */
void header_check_start(struct header_check *check, struct text method, bool target_ok, struct text version);
void header_check_line(struct header_check *check, struct text name, struct text value);
void header_check_end(struct header_check *check);

/* After header_check_end: true if a body follows the head. */
static inline bool header_check_has_body(const struct header_check *check)
{
    return check->chunked || check->content_length > 0 || check->encodings > 0;
}

/* True if it is not empty and has only visible ASCII characters. */
bool header_target_is_valid(struct text target);
/* True if `host`, the value of Host, names this machine: localhost, a name below it, or a loopback address. */
bool header_host_is_loopback(struct text host);
/* True if `host`, without its port, is in the comma-separated list `names`.  "*" contains every host. */
bool header_host_is_among(struct text host, struct text names);
/* True if a page of this Origin came from `host`. */
bool header_origin_is_host(struct text origin, struct text host);
/* True if the value of Content-Type is this media type, with any parameters. */
bool header_is_media_type(struct text value, struct text type);
/* Without blanks and tabs at both ends (OWS in RFC 9110). */
struct text header_trim(struct text value);
/*
 * The path of a target, which may be in absolute form (RFC 9112 section 3.2.2).  *ret_authority, the host of such a
 * target, replaces the Host header; it is "" in origin form.
 */
const char *header_target_path(const char *target, struct text *ret_authority);
/* True if the comma-separated list `value` contains `word`, ignoring ASCII case. */
bool header_has_word(struct text value, struct text word);
/* Decodes two hexadecimal digits.  `at` is NUL-terminated and may be shorter. */
bool header_hex_pair(const char *at, unsigned *ret_value);
/*
 * Decodes percent-encoding in place and returns the new length.  %00 is left unchanged: the string ends at a NUL, and
 * "/a%00b" must not become "/a".
 */
size_t header_percent_decode(char *text);
