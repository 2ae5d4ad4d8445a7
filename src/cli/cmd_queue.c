/* evalx queue: waiting and running submissions, and the workers. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/operator_client.h"
#include "cli/terminal.h"

enum { OPTION_SERVER, OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_SERVER] = { "server", OPTION_VALUE, "URL", "server (default: EVALX_SERVER, then http://127.0.0.1:3000)" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print JSON: {\"queue\": ..., \"workers\": ...}" },
};

static void print_queue(const json_t *queue)
{
    size_t i;
    json_t *row;

    (void)printf("%lld waiting (the oldest for %.1f s), %lld running, %lld dead\n", json_whole(queue, "waiting"),
                 json_number_value(json_object_get(queue, "oldest_wait_seconds")), json_whole(queue, "running"),
                 json_whole(queue, "dead"));
    if (json_array_size(json_object_get(queue, "languages")) == 0)
        return;
    (void)printf("\n%-14s %8s %8s %8s %8s %8s\n", "LANGUAGE", "WAITING", "HIGH", "NORMAL", "LOW", "RUNNING");
    json_array_foreach(json_object_get(queue, "languages"), i, row)(void)
        printf("%-14s %8lld %8lld %8lld %8lld %8lld\n", json_text(row, "language"), json_whole(row, "waiting"),
               json_whole(row, "high"), json_whole(row, "normal"), json_whole(row, "low"), json_whole(row, "running"));
}

static void print_workers(const json_t *workers)
{
    size_t i;
    json_t *worker;

    if (json_array_size(workers) == 0) {
        (void)printf("\nno worker is alive\n");
        return;
    }
    (void)printf("\n%-44s %8s %8s %8s %10s\n", "WORKER", "SLOTS", "BUSY", "RUNNING", "HEARTBEAT");
    json_array_foreach(workers, i, worker)(void)
        printf("%-44s %8lld %8.1f %8lld %6.1f s ago\n", json_text(worker, "name"), json_whole(worker, "slots"),
               json_number_value(json_object_get(worker, "slots_busy")), json_whole(worker, "running"),
               json_number_value(json_object_get(worker, "heartbeat_seconds_ago")));
}

static int run(const struct invocation *invocation)
{
    auto_buf struct buf queue_body = { 0 }, workers_body = { 0 };
    struct http_client *http_client = NULL;
    struct error err = { 0 };
    json_t *queue = NULL, *workers = NULL;
    int status = EVALX_EXIT_OK;

    if (http_client_open(invocation->values[OPTION_SERVER], &http_client, &err) < 0 ||
        operator_ask(http_client, "/queue", false, &queue_body, &queue, &err) < 0 ||
        operator_ask(http_client, "/workers", false, &workers_body, &workers, &err) < 0) {
        status = command_failed(&err);
    } else if (invocation_has(invocation, OPTION_JSON)) {
        (void)printf("{\"queue\":");
        (void)terminal_put_json(stdout, buf_text(&queue_body));
        (void)printf(",\"workers\":");
        (void)terminal_put_json(stdout, buf_text(&workers_body));
        (void)printf("}\n");
    } else {
        terminal_make_presentable(queue, false);
        terminal_make_presentable(workers, false);
        print_queue(queue);
        print_workers(workers);
    }
    json_decref(queue);
    json_decref(workers);
    http_client_close(http_client);
    return status;
}

const struct subcommand queue_command = {
    .name = "queue",
    .operands = "",
    .summary = "show the queue and the workers of a server",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .run = run,
};
