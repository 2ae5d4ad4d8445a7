/* evalx dead: lists dead submissions and returns them to the queue. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/operator_client.h"
#include "cli/terminal.h"
#include "model/token.h"

enum { OPTION_SERVER, OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_SERVER] = { "server", OPTION_VALUE, "URL", "server (default: EVALX_SERVER, then http://127.0.0.1:3000)" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print JSON; a list has one object per line" },
};

static void print_dumped(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY);

    if (text != NULL)
        (void)terminal_put_json(stdout, text_of(text));
    (void)putchar('\n');
    free(text);
}

static void print_row(const json_t *dead)
{
    (void)printf("%-26s %-12s %-24s %8lld  %s\n", json_text(dead, "token"), json_text(dead, "language"),
                 json_text(dead, "died_at"), json_whole(dead, "attempts"), json_text(dead, "reason"));
}

/* Prints one page.  `next` becomes the cursor of the next page, or empty. */
static int list_page(struct http_client *http_client, bool as_json, char next[64], struct error *err)
{
    auto_buf struct buf body = { 0 };
    char path[128];
    json_t *answer = NULL, *dead;
    size_t i;

    (void)snprintf(path, sizeof path, "/dead?limit=100%s%s", next[0] != '\0' ? "&before=" : "", next);
    if (operator_ask(http_client, path, false, &body, &answer, err) < 0)
        return -1;
    json_array_foreach(json_object_get(answer, "dead"), i, dead)
    {
        if (!as_json) {
            terminal_make_presentable(dead, false);
            print_row(dead);
            continue;
        }
        print_dumped(dead, JSON_COMPACT);
    }
    (void)snprintf(next, 64, "%s", json_text(answer, "next"));
    json_decref(answer);
    return 0;
}

static int list(struct http_client *http_client, bool as_json, struct error *err)
{
    char next[64] = "";

    if (!as_json)
        (void)printf("%-26s %-12s %-24s %8s  %s\n", "TOKEN", "LANGUAGE", "DIED", "ATTEMPTS", "REASON");
    do {
        if (list_page(http_client, as_json, next, err) < 0)
            return -1;
    } while (next[0] != '\0');
    return 0;
}

static void print_dead(const json_t *dead)
{
    static const char *const keys[] = { "token", "language", "priority", "client", "created_at", "died_at", "reason" };
    const json_t *submission = json_object_get(dead, "submission");

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_text(dead, keys[i])[0] != '\0')
            (void)printf("%-11s %s\n", keys[i], json_text(dead, keys[i]));
    (void)printf("%-11s %lld\n", "attempts", json_whole(dead, "attempts"));
    (void)printf("%-11s ", "submission");
    print_dumped(submission, JSON_INDENT(2));
}

static int show_or_retry(struct http_client *http_client, const char *token, bool retries, bool as_json,
                         struct error *err)
{
    auto_buf struct buf body = { 0 };
    char path[64];
    json_t *answer = NULL;

    if (!token_is_valid(text_of(token)))
        return error_set(err, ERROR_USAGE, 0, "\"%.40s\" is not a token", token);
    (void)snprintf(path, sizeof path, "/dead/%s%s", token, retries ? "/retry" : "");
    if (operator_ask(http_client, path, retries, &body, &answer, err) < 0)
        return -1;
    if (as_json) {
        (void)terminal_put_json(stdout, buf_text(&body));
        (void)putchar('\n');
    } else {
        terminal_make_presentable(answer, true);
        if (retries)
            (void)printf("%s %s\n", token, json_text(answer, "status"));
        else
            print_dead(answer);
    }
    json_decref(answer);
    return 0;
}

static int run(const struct invocation *invocation)
{
    const char *verb = invocation->operands[0];
    bool lists = strcmp(verb, "list") == 0, retries = strcmp(verb, "retry") == 0;
    bool as_json = invocation_has(invocation, OPTION_JSON);
    struct http_client *http_client = NULL;
    struct error err = { 0 };
    int failed = 0;

    if (!lists && !retries && strcmp(verb, "show") != 0)
        return usage_error(invocation->command, "expected list, show or retry, got \"%s\"", verb);
    if (lists && invocation->operands_len > 1)
        return usage_error(invocation->command, "unexpected \"%s\"", invocation->operands[1]);
    if (!lists && invocation->operands_len < 2)
        return usage_error(invocation->command, "%s: TOKEN is missing", verb);
    if (http_client_open(invocation->values[OPTION_SERVER], &http_client, &err) < 0)
        return command_failed(&err);
    if (lists)
        failed = list(http_client, as_json, &err);
    for (int i = 1; i < invocation->operands_len && failed == 0; i++)
        failed = show_or_retry(http_client, invocation->operands[i], retries, as_json, &err);
    http_client_close(http_client);
    return failed < 0 ? command_failed(&err) : EVALX_EXIT_OK;
}

const struct subcommand dead_command = {
    .name = "dead",
    .operands = "list|show TOKEN...|retry TOKEN...",
    .summary = "list dead submissions, or return them to their queue",
    .details =
        "\nA submission is dead when the worker of each attempt lost its lease.  At most 1,000 of them are\n"
        "kept, for 7 days.  `retry` returns a submission to its queue with all its attempts; a repeated retry has no\n"
        "further effect.  If the server requires API keys, EVALX_API_KEY must be the key of the client \"operator\".\n"
        "Otherwise the server must be on this machine.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = -1,
    .run = run,
};
