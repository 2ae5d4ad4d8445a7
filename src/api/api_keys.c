/* clients: see the header. */
#include "api/api_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "http/header_check.h"

#define LINE_BYTES 512
#define CLIENTS_MAX 10000

struct client {
    struct store_client limits;
    uint8_t digest[SHA256_DIGEST_SIZE];
};

struct clients {
    struct client *at;
    size_t len, cap;
};

/* One field of a line, up to the next colon; *rest moves behind it, or becomes NULL after the last. */
static struct text next_field(const char **rest)
{
    const char *at = *rest != NULL ? *rest : "";
    const char *colon = strchr(at, ':');
    struct text field = { at, colon != NULL ? (size_t)(colon - at) : strlen(at) };
    *rest = colon != NULL ? colon + 1 : NULL;
    return field;
}

static bool parse_name(struct text field, char ret[STORE_CLIENT_BYTES])
{
    if (field.len == 0 || field.len >= STORE_CLIENT_BYTES)
        return false;
    memcpy(ret, field.at, field.len);
    ret[field.len] = '\0';
    return strspn(ret, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == field.len;
}

static bool parse_digest(struct text field, uint8_t ret[SHA256_DIGEST_SIZE])
{
    if (field.len != 2 * SHA256_DIGEST_SIZE)
        return false;
    for (size_t i = 0; i < SHA256_DIGEST_SIZE; i++) {
        unsigned value;
        if (!header_hex_pair(field.at + 2 * i, &value))
            return false;
        ret[i] = (uint8_t)value;
    }
    return true;
}

static bool parse_limit(struct text field, uint64_t standard, uint32_t *ret)
{
    uint64_t limit = standard;
    if (field.len > 0 && (text_parse_u64(field, &limit) < 0 || limit > UINT32_MAX))
        return false;
    *ret = (uint32_t)limit;
    return true;
}

/* What is wrong with the line, or NULL. */
static const char *parse_line(const struct config *config, const char *line, struct client *ret)
{
    const char *rest = line;
    if (!parse_name(next_field(&rest), ret->limits.name))
        return "expected a name of 1 to 32 of a-z 0-9 _ . -";
    if (!parse_digest(next_field(&rest), ret->digest))
        return "expected the 64 hexadecimal digits of the key's SHA-256 after the name";
    if (!parse_limit(next_field(&rest), config->client_queued_max, &ret->limits.queued_max) ||
        !parse_limit(next_field(&rest), config->client_running_max, &ret->limits.running_max))
        return "expected a whole number as a limit";
    return rest == NULL ? NULL : "expected name:sha256[:queued_max[:running_max]]";
}

static const char *add_client(struct clients *clients, const struct client *client)
{
    for (size_t i = 0; i < clients->len; i++)
        if (memeql_sec(clients->at[i].digest, client->digest, SHA256_DIGEST_SIZE) != 0)
            return "this key is in the file already";
    if (clients->len == CLIENTS_MAX)
        return "too many keys";
    if (clients->len == clients->cap) {
        clients->cap = clients->cap == 0 ? 16 : 2 * clients->cap;
        struct client *bigger = realloc(clients->at, clients->cap * sizeof *bigger);
        if (bigger == NULL)
            abort();
        clients->at = bigger;
    }
    clients->at[clients->len++] = *client;
    return NULL;
}

static int read_lines(const struct config *config, FILE *in, struct clients *clients, struct error *err)
{
    char line[LINE_BYTES];
    for (unsigned number = 1; fgets(line, sizeof line, in) != NULL; number++) {
        struct client client = { 0 };
        size_t len = strcspn(line, "\r\n");
        const char *wrong = line[len] == '\0' && !feof(in) ? "expected a shorter line" : NULL;
        line[len] = '\0';
        if (wrong == NULL && (len == 0 || line[0] == '#'))
            continue;
        if (wrong == NULL)
            wrong = parse_line(config, line, &client);
        if (wrong == NULL)
            wrong = add_client(clients, &client);
        if (wrong != NULL)
            return error_set(err, ERROR_SETUP, 0, "api_keys_file: %s:%u: %s", config->api_keys_file, number, wrong);
    }
    if (ferror(in))
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: read %s", config->api_keys_file);
    return 0;
}

static int check_owner(const struct config *config, int fd, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: %s", config->api_keys_file);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_SETUP, 0, "api_keys_file: %s is no file", config->api_keys_file);
    if ((status.st_mode & 077) != 0)
        return error_set(err, ERROR_SETUP, 0, "api_keys_file: others may read %s; chmod 600 it", config->api_keys_file);
    if (status.st_uid != geteuid() && status.st_uid != 0)
        return error_set(err, ERROR_SETUP, 0, "api_keys_file: %s belongs to another user", config->api_keys_file);
    return 0;
}

int clients_load(const struct config *config, struct clients **ret, struct error *err)
{
    *ret = NULL;
    if (config->api_keys_file[0] == '\0')
        return 0;
    auto_close int fd = open(config->api_keys_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: open %s (as the user evalx serves as)",
                         config->api_keys_file);
    if (check_owner(config, fd, err) < 0)
        return -1;
    FILE *in = fdopen(fd, "r");
    if (in == NULL)
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: %s", config->api_keys_file);
    (void)take_fd(&fd);
    struct clients *clients = calloc(1, sizeof *clients);
    if (clients == NULL)
        abort();
    int result = read_lines(config, in, clients, err);
    (void)fclose(in);
    if (result == 0 && clients->len == 0)
        result = error_set(err, ERROR_SETUP, 0, "api_keys_file: %s has no keys, so nobody could use the API",
                           config->api_keys_file);
    if (result < 0) {
        clients_free(clients);
        return -1;
    }
    *ret = clients;
    return 0;
}

void clients_free(struct clients *clients)
{
    if (clients == NULL)
        return;
    free(clients->at);
    free(clients);
}

const struct store_client *clients_find(const struct clients *clients, struct text key)
{
    struct sha256_ctx sha;
    uint8_t digest[SHA256_DIGEST_SIZE];
    const struct store_client *found = NULL;

    sha256_init(&sha);
    sha256_update(&sha, key.len, (const uint8_t *)key.at);
    sha256_digest(&sha, sizeof digest, digest);
    for (size_t i = 0; i < clients->len; i++) /* to the end, also when it was found */
        if (memeql_sec(clients->at[i].digest, digest, sizeof digest) != 0)
            found = &clients->at[i].limits;
    return found;
}
