/*
 * api_keys: parses the file, and compares hashes in constant time.
 */
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
#include "model/image_extension.h"

#define LINE_BYTES 512
#define KEYS_MAX 10000

struct api_key {
    struct api_client client;
    uint8_t digest[SHA256_DIGEST_SIZE];
};

struct api_keys {
    struct api_key *at;
    size_t len, cap;
};

/* Returns the field up to the next colon and advances *rest past it, or sets it to NULL after the last field. */
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
    if (!client_name_is_valid(field))
        return false;
    memcpy(ret, field.at, field.len);
    ret[field.len] = '\0';
    return true;
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

static bool parse_limit(struct text field, uint64_t limit_default, uint32_t *ret)
{
    uint64_t limit = limit_default;
    if (field.len > 0 && (text_parse_u64(field, &limit) < 0 || limit > UINT32_MAX))
        return false;
    *ret = (uint32_t)limit;
    return true;
}

static bool parse_images(struct text field, char ret[API_CLIENT_IMAGES_BYTES])
{
    if (field.len >= API_CLIENT_IMAGES_BYTES || !image_list_is_valid(field))
        return false;
    memcpy(ret, field.at, field.len);
    ret[field.len] = '\0';
    return true;
}

/* NULL, or why the line is invalid. */
static const char *parse_line(const struct config *config, const char *line, struct api_key *ret)
{
    const char *rest = line;
    if (!parse_name(next_field(&rest), ret->client.store.name))
        return "expected a name of 1 to 32 characters a-z 0-9 _ . -";
    if (!parse_digest(next_field(&rest), ret->digest))
        return "expected the 64 hexadecimal digits of the key's SHA-256 after the name";
    if (!parse_limit(next_field(&rest), config->client_queued_max, &ret->client.store.queued_max) ||
        !parse_limit(next_field(&rest), config->client_running_max, &ret->client.store.running_max))
        return "expected a whole number for the limit";
    struct text share = next_field(&rest);
    ret->client.share_cache = text_equal(share, TEXT("share_cache"));
    if (share.len > 0 && !ret->client.share_cache)
        return "expected the word share_cache, or nothing, after the limits";
    if (!parse_images(next_field(&rest), ret->client.images))
        return "expected names of images separated by commas, or *, after share_cache";
    return rest == NULL ? NULL : "expected name:sha256[:queued_max[:running_max[:share_cache[:images]]]]";
}

static const char *add_key(struct api_keys *api_keys, const struct api_key *key)
{
    for (size_t i = 0; i < api_keys->len; i++) {
        const struct api_client *other = &api_keys->at[i].client;
        if (memeql_sec(api_keys->at[i].digest, key->digest, SHA256_DIGEST_SIZE) != 0)
            return "this key is already in the file";
        if (strcmp(other->store.name, key->client.store.name) == 0 && other->share_cache != key->client.share_cache)
            return "another key of this client differs in share_cache";
    }
    if (api_keys->len == KEYS_MAX)
        return "too many keys";
    if (api_keys->len == api_keys->cap) {
        api_keys->cap = api_keys->cap == 0 ? 16 : 2 * api_keys->cap;
        struct api_key *bigger = realloc(api_keys->at, api_keys->cap * sizeof *bigger);
        if (bigger == NULL)
            abort();
        api_keys->at = bigger;
    }
    api_keys->at[api_keys->len++] = *key;
    return NULL;
}

static int read_lines(const struct config *config, FILE *in, struct api_keys *api_keys, struct error *err)
{
    char line[LINE_BYTES];
    for (unsigned number = 1; fgets(line, sizeof line, in) != NULL; number++) {
        struct api_key key = { 0 };
        size_t len = strcspn(line, "\r\n");
        const char *wrong = line[len] == '\0' && !feof(in) ? "expected a shorter line" : NULL;
        line[len] = '\0';
        if (wrong == NULL && (len == 0 || line[0] == '#'))
            continue;
        if (wrong == NULL)
            wrong = parse_line(config, line, &key);
        if (wrong == NULL)
            wrong = add_key(api_keys, &key);
        if (wrong != NULL)
            return error_set(err, ERROR_SETUP, 0, "api_keys_file: %s:%u: %s", config->api_keys_file, number, wrong);
    }
    if (ferror(in))
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: read %s", config->api_keys_file);
    return 0;
}

static int check_owner(const struct config *config, int fd, uid_t owner, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: %s", config->api_keys_file);
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_SETUP, 0, "api_keys_file: %s is not a regular file", config->api_keys_file);
    if ((status.st_mode & 077) != 0)
        return error_set(err, ERROR_SETUP, 0, "api_keys_file: other users may read %s; run chmod 600",
                         config->api_keys_file);
    if (status.st_uid != geteuid() && status.st_uid != 0 && status.st_uid != owner)
        return error_set(err, ERROR_SETUP, 0, "api_keys_file: %s belongs to another user; run chown root",
                         config->api_keys_file);
    return 0;
}

int api_keys_load(const struct config *config, uid_t owner, struct api_keys **ret, struct error *err)
{
    *ret = NULL;
    if (config->api_keys_file[0] == '\0')
        return 0;
    auto_close int fd = open(config->api_keys_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: open %s", config->api_keys_file);
    if (check_owner(config, fd, owner, err) < 0)
        return -1;
    FILE *in = fdopen(fd, "r");
    if (in == NULL)
        return error_set(err, ERROR_SETUP, errno, "api_keys_file: %s", config->api_keys_file);
    (void)take_fd(&fd);
    struct api_keys *api_keys = calloc(1, sizeof *api_keys);
    if (api_keys == NULL)
        abort();
    int result = read_lines(config, in, api_keys, err);
    (void)fclose(in);
    if (result == 0 && api_keys->len == 0)
        result = error_set(err, ERROR_SETUP, 0, "api_keys_file: %s contains no keys, so nobody could use the API",
                           config->api_keys_file);
    if (result < 0) {
        api_keys_free(api_keys);
        return -1;
    }
    *ret = api_keys;
    return 0;
}

size_t api_keys_len(const struct api_keys *api_keys)
{
    return api_keys != NULL ? api_keys->len : 0;
}

void api_keys_free(struct api_keys *api_keys)
{
    if (api_keys == NULL)
        return;
    free(api_keys->at);
    free(api_keys);
}

struct text api_client_images(const struct api_client *client)
{
    return client != NULL ? text_of(client->images) : TEXT("*");
}

const struct api_client *api_keys_find(const struct api_keys *api_keys, struct text key)
{
    struct sha256_ctx sha;
    uint8_t digest[SHA256_DIGEST_SIZE];
    const struct api_client *found = NULL;

    sha256_init(&sha);
    sha256_update(&sha, key.len, (const uint8_t *)key.at);
    sha256_digest(&sha, sizeof digest, digest);
    for (size_t i = 0; i < api_keys->len; i++) /* no early exit: constant time */
        if (memeql_sec(api_keys->at[i].digest, digest, sizeof digest) != 0)
            found = &api_keys->at[i].client;
    return found;
}
