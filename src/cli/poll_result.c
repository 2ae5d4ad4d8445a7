/* waiting: see the header. */
#include "cli/poll_result.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "model/token.h"

#define WAIT_S_MAX 86400u
#define ASK_S 20u         /* one request waits so long in the server, if the server lets it */
#define ASK_AGAIN_MS 250u /* where it does not */
#define ANSWER_S 30u      /* beyond the wait: until an answer must have come */
#define FAILURES_MAX 20   /* of the network or the server, in a row, while waiting */
#define OUTPUT_COLUMNS 48

int wait_seconds(const struct invocation *invocation, size_t option, uint32_t *ret_seconds)
{
    const char *value = invocation->values[option];
    uint64_t seconds = WAIT_S_DEFAULT;

    *ret_seconds = 0;
    if (value == NULL)
        return 0;
    if (value[0] != '\0' && (text_parse_u64(text_of(value), &seconds) < 0 || seconds < 1 || seconds > WAIT_S_MAX)) {
        (void)usage_error(invocation->command, "--wait: expected seconds from 1 to %u, got \"%s\"", WAIT_S_MAX, value);
        return -1;
    }
    *ret_seconds = (uint32_t)seconds;
    return 0;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec time = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

    (void)nanosleep(&time, NULL);
}

static bool has_ended(const json_t *answer)
{
    const char *status = json_string_value(json_object_get(answer, "status"));

    return status != NULL && (strcmp(status, "Completed") == 0 || strcmp(status, "Failed") == 0);
}

/* One GET.  1: answered, 0: the server lets nobody wait so long, -1: *err. */
static int ask_once(struct http_client *http_client, const char *token, uint32_t ask_s, struct buf *ret_body,
                    json_t **ret_answer, struct error *err)
{
    struct http_answer answer;
    char path[80];
    json_error_t where;

    if (ask_s > 0)
        (void)snprintf(path, sizeof path, "/submissions/%s?wait=%" PRIu32, token, ask_s);
    else
        (void)snprintf(path, sizeof path, "/submissions/%s", token);
    if (http_client_request(http_client, path, NULL, ask_s + ANSWER_S, &answer, err) < 0)
        return -1;
    if (answer.status == 400 && ask_s > 0) {
        http_answer_done(&answer);
        return 0;
    }
    if (answer.status < 200 || answer.status > 299) {
        (void)http_client_refused(&answer, err);
        if (answer.status >= 500)
            err->kind = ERROR_STORE;
        http_answer_done(&answer);
        return -1;
    }
    json_t *decoded = json_loadb(answer.body.at != NULL ? answer.body.at : "", answer.body.len, JSON_ALLOW_NUL, &where);
    if (!json_is_object(decoded)) {
        json_decref(decoded);
        http_answer_done(&answer);
        return error_set(err, ERROR_BUG, 0, "the server's answer is no JSON object");
    }
    json_decref(*ret_answer);
    buf_done(ret_body);
    *ret_answer = decoded;
    *ret_body = answer.body;
    return 1;
}

int submission_ask(struct http_client *http_client, const char *token, uint32_t wait_s, struct buf *ret_body,
                   json_t **ret_answer, struct error *err)
{
    uint64_t deadline_us = clock_mono_us() + (uint64_t)wait_s * 1000000;
    bool server_waits = true;

    if (!token_is_valid(text_of(token)))
        return error_set(err, ERROR_REQUEST, 0, "\"%s\" is no token: expected %d letters and digits", token, TOKEN_LEN);
    *ret_answer = NULL;
    for (int failures = 0;;) {
        uint64_t now_us = clock_mono_us();
        uint64_t left_s = now_us < deadline_us ? (deadline_us - now_us + 999999) / 1000000 : 0;
        uint32_t ask_s = !server_waits ? 0 : left_s < ASK_S ? (uint32_t)left_s : ASK_S;
        int outcome = ask_once(http_client, token, ask_s, ret_body, ret_answer, err);
        if (outcome == 0) {
            server_waits = false;
            continue;
        }
        /* A server that is being started again, or a store that is away for a moment, is no reason to give up. */
        failures = outcome < 0 ? failures + 1 : 0;
        if (outcome < 0 && (wait_s == 0 || err->kind != ERROR_STORE || failures == FAILURES_MAX || left_s == 0)) {
            json_decref(*ret_answer);
            *ret_answer = NULL;
            return -1;
        }
        if (outcome > 0 && (has_ended(*ret_answer) || left_s == 0))
            return 0;
        if (outcome < 0 || !server_waits)
            sleep_ms(ASK_AGAIN_MS);
    }
}

/* The first line, without anything a terminal would obey, and not longer than a column. */
static void print_first_line(const char *text, size_t len)
{
    size_t columns = 0, at = 0;

    for (; at < len && text[at] != '\n' && columns < OUTPUT_COLUMNS; at++) {
        unsigned char byte = (unsigned char)text[at];
        if ((byte & 0xc0) == 0x80) {
            (void)putchar(byte); /* the rest of a character; jansson has made sure that it is UTF-8 */
            continue;
        }
        bool is_c1 = byte == 0xc2 && at + 1 < len && (unsigned char)text[at + 1] < 0xa0;
        if (byte < 0x20 || byte == 0x7f || is_c1) {
            (void)putchar('?');
            at += is_c1;
        } else {
            (void)putchar(byte);
        }
        columns++;
    }
    while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80)
        (void)putchar((unsigned char)text[at++]);
    if (at < len && text[at] != '\n')
        (void)fputs("...", stdout);
    (void)putchar('\n');
}

static const char *string_of(const json_t *result, const char *key)
{
    const char *value = json_string_value(json_object_get(result, key));

    return value != NULL ? value : "";
}

/* What it printed; of one that is not accepted rather its errors, or why it is so. */
static void print_words(const json_t *result, bool accepted)
{
    static const char *const keys[2][3] = { { "stderr", "message", "stdout" }, { "stdout", "stderr", "message" } };

    for (size_t i = 0; i < 3; i++) {
        const json_t *text = json_object_get(result, keys[accepted][i]);
        if (json_string_length(text) > 0) {
            print_first_line(json_string_value(text), json_string_length(text));
            return;
        }
    }
    (void)putchar('\n');
}

static bool print_row(const json_t *result)
{
    const char *verdict = string_of(result, "status");
    bool accepted = strcmp(verdict, "accepted") == 0;
    json_int_t index = json_integer_value(json_object_get(result, "test"));
    json_int_t element = json_integer_value(json_object_get(result, "element"));
    const json_t *wall = json_object_get(result, "wall_time");
    char test[48];

    if (index > 0)
        (void)snprintf(test, sizeof test, "%" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT, element + 1, index + 1);
    else
        (void)snprintf(test, sizeof test, "%" JSON_INTEGER_FORMAT, element + 1);
    (void)printf("%-5s %-11s %-14s %4" JSON_INTEGER_FORMAT " %8.3f s %11s  ", test, string_of(result, "language"),
                 verdict, json_integer_value(json_object_get(result, "exit_code")), json_number_value(wall),
                 string_of(result, "space_consumed"));
    print_words(result, accepted);
    return accepted;
}

/* How many are accepted. */
static size_t print_table(const json_t *results)
{
    size_t accepted = 0;

    (void)printf("%-5s %-11s %-14s %4s %10s %11s  %s\n", "TEST", "LANGUAGE", "VERDICT", "EXIT", "TIME", "MEMORY",
                 "OUTPUT");
    for (size_t i = 0; i < json_array_size(results); i++)
        accepted += print_row(json_array_get(results, i));
    (void)printf("%zu of %zu accepted\n", accepted, json_array_size(results));
    return accepted;
}

static size_t count_accepted(const json_t *results)
{
    size_t accepted = 0;

    for (size_t i = 0; i < json_array_size(results); i++)
        accepted += strcmp(string_of(json_array_get(results, i), "status"), "accepted") == 0;
    return accepted;
}

int submission_show(const json_t *answer, const struct buf *body, bool as_json, bool waited)
{
    const json_t *results = json_object_get(answer, "results");
    const char *status = string_of(answer, "status");

    if (as_json)
        (void)printf("%.*s\n", TEXT_ARG(buf_text(body)));
    else
        (void)printf("%s %s\n", string_of(answer, "token"), status);
    if (strcmp(status, "Failed") == 0) {
        const json_t *reason = json_object_get(answer, "error");
        const char *words = json_is_string(reason) ? json_string_value(reason) : string_of(reason, "message");
        (void)fprintf(stderr, "evalx: the submission failed: %s\n", words);
        return EVALX_EXIT_FAILURE;
    }
    if (!has_ended(answer)) {
        if (waited)
            (void)fprintf(stderr, "evalx: still %s; `evalx status %s` shows it later\n", status,
                          string_of(answer, "token"));
        return waited ? EVALX_EXIT_FAILURE : EVALX_EXIT_OK;
    }
    size_t accepted = as_json ? count_accepted(results) : print_table(results);
    return accepted == json_array_size(results) ? EVALX_EXIT_OK : EVALX_EXIT_NOT_ACCEPTED;
}
