/*
 * bench_fill: adds waiting submissions: bench_fill sqlite:FILE | redis://HOST:PORT COUNT QUEUE
 *
 * For measuring something else while they wait.  Their payloads are no submissions, so no worker may serve the queue.
 * Their priorities alternate.  An SQLite file must not be in use.
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"
#include "queue/queue.h"

#define PAYLOAD_BYTES 1024
#define BATCH_LEN 100u

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_fill: %s: %s\n", what, why);
    exit(1);
}

static void add(struct store *store, const char *queue, size_t len)
{
    static char payload[PAYLOAD_BYTES];
    struct store_new news[BATCH_LEN];
    struct error err;

    /* Varied content, so that nothing is compressed by chance. */
    for (size_t i = 0; i < PAYLOAD_BYTES; i++)
        payload[i] = (char)('a' + (i * i + 7 * i) % 26);
    for (size_t i = 0; i < len; i++) {
        news[i] = (struct store_new){ .priority = (enum submission_priority)(i % PRIORITY_COUNT_),
                                      .payload = { payload, PAYLOAD_BYTES } };
        store_new_token(store, "", news[i].token);
        (void)snprintf(news[i].queue, sizeof news[i].queue, "%s", queue);
    }
    if (store_add(store, news, len, &err) < 0)
        die("add", err.text);
}

int main(int argc, char **argv)
{
    struct config config;
    struct error err;
    struct store *store;

    if (argc != 4)
        die("usage", "bench_fill sqlite:FILE | redis://HOST:PORT COUNT QUEUE");
    size_t count = strtoull(argv[2], NULL, 10);
    if (config_load(&config, NULL, &err) < 0 || config_set(&config, "store", argv[1], CONFIG_FLAG, &err) < 0 ||
        config_set(&config, "queue_max", "100000000", CONFIG_FLAG, &err) < 0 || store_open(&config, &store, &err) < 0)
        die("open", err.text);
    for (size_t done = 0; done < count; done += BATCH_LEN)
        add(store, argv[3], count - done < BATCH_LEN ? count - done : BATCH_LEN);
    store_close(store);
    return 0;
}
