/* poll_result: see the header. */
#include "cli/poll_result.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/self.h"
#include "cli/operator_client.h"
#include "cli/terminal.h"
#include "model/token.h"

#define WAIT_S_MAX 86400u
#define POLL_S 20u         /* one long poll */
#define SHOWN_POLL_S 1u    /* the same where a terminal shows the state */
#define POLL_AGAIN_MS 250u /* between requests if the server does not allow long polls of that duration */
#define RESPONSE_S 30u     /* beyond the long poll: time-out of a request */
#define FAILURES_MAX 20    /* in a row, of the network or the server, while waiting */
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

/* One GET.  1: *ret_answer; 0: the server does not allow so long a poll; -1: *err. */
static int poll_once(struct http_client *http_client, const char *token, uint32_t poll_s, struct buf *ret_body,
                     json_t **ret_answer, struct error *err)
{
    struct http_answer answer;
    char path[80];
    json_error_t where;

    if (poll_s > 0)
        (void)snprintf(path, sizeof path, "/submissions/%s?wait=%" PRIu32, token, poll_s);
    else
        (void)snprintf(path, sizeof path, "/submissions/%s", token);
    if (http_client_request(http_client, path, NULL, poll_s + RESPONSE_S, &answer, err) < 0)
        return -1;
    if (answer.status == 400 && poll_s > 0) {
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
        return error_set(err, ERROR_BUG, 0, "the response of the server is not a JSON object");
    }
    terminal_make_presentable(decoded, true);
    json_decref(*ret_answer);
    buf_done(ret_body);
    *ret_answer = decoded;
    *ret_body = answer.body;
    return 1;
}

/* The state on one line of the terminal, which the next one and the results overwrite.  NULL removes it. */
static void show_state(const json_t *answer, uint64_t begin_us)
{
    if (isatty(STDERR_FILENO) == 0)
        return;
    if (answer != NULL)
        (void)fprintf(stderr, "\r%s for %" PRIu64 " s ", json_text(answer, "status"),
                      (clock_mono_us() - begin_us) / 1000000);
    else
        (void)fprintf(stderr, "\r%40s\r", "");
    (void)fflush(stderr);
}

int poll_submission(struct http_client *http_client, const char *token, uint32_t wait_s, struct buf *ret_body,
                    json_t **ret_answer, struct error *err)
{
    uint64_t begin_us = clock_mono_us(), deadline_us = begin_us + (uint64_t)wait_s * 1000000;
    uint32_t poll_s_max = isatty(STDERR_FILENO) == 1 ? SHOWN_POLL_S : POLL_S;
    bool server_waits = true;

    if (!token_is_valid(text_of(token)))
        return error_set(err, ERROR_USAGE, 0, "\"%.64s\" is not a token: expected %d letters and digits", token,
                         TOKEN_LEN);
    *ret_answer = NULL;
    for (int failures = 0;;) {
        uint64_t now_us = clock_mono_us();
        uint64_t left_s = now_us < deadline_us ? (deadline_us - now_us + 999999) / 1000000 : 0;
        uint32_t poll_s = !server_waits ? 0 : left_s < poll_s_max ? (uint32_t)left_s : poll_s_max;
        int outcome = poll_once(http_client, token, poll_s, ret_body, ret_answer, err);
        if (outcome == 0) {
            server_waits = false;
            continue;
        }
        /* Polling survives a restart of the server and a short outage of the store. */
        failures = outcome < 0 ? failures + 1 : 0;
        if (outcome < 0 && (wait_s == 0 || err->kind != ERROR_STORE || failures == FAILURES_MAX || left_s == 0)) {
            show_state(NULL, 0);
            json_decref(*ret_answer);
            *ret_answer = NULL;
            return -1;
        }
        if (outcome > 0 && (has_ended(*ret_answer) || left_s == 0)) {
            show_state(NULL, 0);
            return 0;
        }
        if (outcome > 0)
            show_state(*ret_answer, begin_us);
        if (outcome < 0 || !server_waits)
            sleep_ms(POLL_AGAIN_MS);
    }
}

/* Prints the first line, cut to the width of the column.  The text contains no controls but tabs and newlines. */
static void print_first_line(const char *text, size_t len)
{
    size_t columns = 0, at = 0;

    for (; at < len && text[at] != '\n' && columns < OUTPUT_COLUMNS; at++) {
        (void)putchar(text[at] != '\t' ? text[at] : ' ');
        columns += at + 1 == len || ((unsigned char)text[at + 1] & 0xc0) != 0x80; /* the end of a character */
    }
    if (at < len && text[at] != '\n')
        (void)fputs("...", stdout);
    (void)putchar('\n');
}

/* Prints the output of an accepted result, else its errors or the reason of the verdict. */
static void print_output(const json_t *result, bool accepted)
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
    const char *verdict = json_text(result, "status");
    bool accepted = strcmp(verdict, "accepted") == 0;
    json_int_t index = json_integer_value(json_object_get(result, "test"));
    json_int_t element = json_integer_value(json_object_get(result, "element"));
    const json_t *wall = json_object_get(result, "wall_time");
    char test[48];

    if (index > 0)
        (void)snprintf(test, sizeof test, "%" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT, element + 1, index + 1);
    else
        (void)snprintf(test, sizeof test, "%" JSON_INTEGER_FORMAT, element + 1);
    (void)printf("%-5s %-11s %-14s %4" JSON_INTEGER_FORMAT " %8.3f s %11s  ", test, json_text(result, "language"),
                 verdict, json_integer_value(json_object_get(result, "exit_code")), json_number_value(wall),
                 json_text(result, "space_consumed"));
    print_output(result, accepted);
    return accepted;
}

/* Returns how many results are accepted. */
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
        accepted += strcmp(json_text(json_array_get(results, i), "status"), "accepted") == 0;
    return accepted;
}

int print_submission(const json_t *answer, const struct buf *body, bool as_json, bool waited)
{
    const json_t *results = json_object_get(answer, "results");
    const char *status = json_text(answer, "status");

    if (as_json) {
        (void)terminal_put_json(stdout, buf_text(body));
        (void)putchar('\n');
    } else {
        (void)printf("%s %s\n", json_text(answer, "token"), status);
    }
    if (strcmp(status, "Failed") == 0) {
        const json_t *reason = json_object_get(answer, "error");
        const char *words = json_is_string(reason) ? json_string_value(reason) : json_text(reason, "message");
        (void)fprintf(stderr, "evalx: the submission failed: %s\n", words);
        return EVALX_EXIT_FAILURE;
    }
    if (!has_ended(answer)) {
        if (waited)
            (void)fprintf(stderr, "evalx: still %s; `%s status %s` shows the result later\n", status, self_name(),
                          json_text(answer, "token"));
        return waited ? EVALX_EXIT_FAILURE : EVALX_EXIT_OK;
    }
    size_t accepted = as_json ? count_accepted(results) : print_table(results);
    return accepted == json_array_size(results) ? EVALX_EXIT_OK : EVALX_EXIT_NOT_ACCEPTED;
}
