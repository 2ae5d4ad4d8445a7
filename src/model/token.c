/* token: a ULID from the wall clock and getrandom(2). */
#include "model/token.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

#define RANDOM_BYTES 10
#define TIME_CHARS 10

const char token_alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static_assert(sizeof token_alphabet - 1 == 32, "five bits a character");
static_assert(TIME_CHARS + RANDOM_BYTES * 8 / 5 == TOKEN_LEN, "time and randomness fill the token");

void token_new(char ret_token[TOKEN_BYTES])
{
    uint64_t ms = clock_wall_ms();
    uint8_t random[RANDOM_BYTES];

    /* getrandom never returns fewer bytes for requests up to 256.  A guessable token must never be used. */
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        perror("getrandom");
        abort();
    }
    for (int i = TIME_CHARS - 1; i >= 0; i--) {
        ret_token[i] = token_alphabet[ms & 31];
        ms >>= 5;
    }
    for (int i = 0; i < RANDOM_BYTES * 8 / 5; i++) {
        int bit = i * 5;
        unsigned pair = (unsigned)random[bit / 8] << 8;
        if (bit / 8 + 1 < RANDOM_BYTES)
            pair |= random[bit / 8 + 1];
        ret_token[TIME_CHARS + i] = token_alphabet[pair >> (11 - bit % 8) & 31];
    }
    ret_token[TOKEN_LEN] = '\0';
}

bool token_is_valid(struct text text)
{
    if (text.len != TOKEN_LEN || text.at[0] > '7') /* the first character holds three bits: 48 = 3 + 9 * 5 */
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] == '\0' || strchr(token_alphabet, text.at[i]) == NULL)
            return false;
    return true;
}
