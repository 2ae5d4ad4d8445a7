/*
 * secrets: passwords in files, so that they appear neither in an environment nor on a command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/config.h"

#define CREDENTIAL "redis-password"

/* 0 with the text, or -1 with errno; EFBIG if the text is too long for a setting. */
static int read_secret(const char *path, char ret[CONFIG_STRING_BYTES])
{
    size_t len = 0;
    ssize_t got;

    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    while ((got = read(fd, ret + len, CONFIG_STRING_BYTES - len)) > 0 && (len += (size_t)got) < CONFIG_STRING_BYTES)
        continue;
    if (got < 0)
        return -1;
    if (len == CONFIG_STRING_BYTES) {
        errno = EFBIG;
        return -1;
    }
    if (len > 0 && ret[len - 1] == '\n')
        len--;
    if (memchr(ret, '\0', len) != NULL) {
        errno = EILSEQ;
        return -1;
    }
    ret[len] = '\0';
    return 0;
}

/* The path of the credential; false if systemd passed none. */
static bool find_credential(char ret[PATH_MAX])
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");

    return folder != NULL && folder[0] == '/' && snprintf(ret, PATH_MAX, "%s/" CREDENTIAL, folder) < PATH_MAX &&
           access(ret, F_OK) == 0;
}

int config_take_secrets(struct config *config, struct error *err)
{
    char path[PATH_MAX], secret[CONFIG_STRING_BYTES];
    int outcome;

    if (config->redis_password[0] != '\0')
        return 0;
    if (config->redis_password_file[0] != '\0')
        (void)snprintf(path, sizeof path, "%s", config->redis_password_file);
    else if (!find_credential(path))
        return 0;
    if (read_secret(path, secret) < 0)
        return error_set(err, ERROR_SETUP, errno, "read the Redis password from %.120s", path);
    if (secret[0] == '\0')
        return 0;
    outcome = config_set(config, "redis_password", secret, CONFIG_SECRET_FILE, err);
    explicit_bzero(secret, sizeof secret);
    return outcome < 0 ? error_within(err, "%.100s", path) : 0;
}
