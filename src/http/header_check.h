/*
 * header_check: the rules a request's head must keep before any handler sees it.  Pure: no I/O, no clock.
 *
 * They are the rules that keep two servers in a row of one mind about where a request ends (RFC 9112 section 6.3,
 * RFC 9110 section 5): every doubt ends in a refusal, never in a guess.  Feed it line by line:
 *
 *     header_check_start(&check, method, target_ok, version);
 *     for each header line: header_check_line(&check, name, value);
 *     header_check_end(&check);
 *     if (check.refusal.status != 0) ... answer it and close ...
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* An answer of our own, before any handler; `message` and `field` are literals. */
struct refusal {
    unsigned status; /* 0: nothing to refuse */
    const char *field;
    const char *message;
};

struct header_check {
    struct refusal refusal; /* the first rule that was broken */
    bool is_http_1_1;
    bool chunked;
    bool has_length;
    uint64_t content_length;
    uint32_t hosts, lengths, encodings; /* lines seen of each */
};

/* `target_ok`: the request target, as it was sent, has only visible ASCII characters. */
void header_check_start(struct header_check *check, struct text method, bool target_ok, struct text version);
void header_check_line(struct header_check *check, struct text name, struct text value);
void header_check_end(struct header_check *check);

/* Valid after header_check_end: will bytes of a body follow the head? */
static inline bool header_check_has_body(const struct header_check *check)
{
    return check->chunked || check->content_length > 0 || check->encodings > 0;
}

/* Visible ASCII only. */
bool header_target_is_valid(struct text target);
/* Is `word` one of the comma-separated words of a header's value (ASCII case ignored)? */
bool header_has_word(struct text value, struct text word);
/* Two hexadecimal digits; `at` may end (in a NUL) before the second. */
bool header_hex_pair(const char *at, unsigned *ret_value);
