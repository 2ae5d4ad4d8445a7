/*
 * settings: see the header.  This runs before any thread, so it may change the environment.
 */
#include "cli/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/installed_languages.h"

/* EVALX_STORE may contain a password: redis://:secret@host. */
static const char *const secret_variables[] = {
#define IS_SECRET_STRING(env)
#define IS_SECRET_UINT(env)
#define IS_SECRET_BOOL(env)
#define IS_SECRET_SECRET(env) env,
#define X(field, type, env, key, def, help) IS_SECRET_##type(env)
    CONFIG_LIST(X)
#undef X
        "EVALX_STORE",
};

/* Overwrites the value where the kernel stored it.  unsetenv alone would leave it visible in /proc/PID/environ. */
static void erase_variable(const char *name)
{
    char *value = getenv(name);

    if (value != NULL)
        explicit_bzero(value, strlen(value));
    (void)unsetenv(name);
}

static void erase_secrets(const struct invocation *invocation)
{
    for (size_t i = 0; i < sizeof secret_variables / sizeof *secret_variables; i++)
        erase_variable(secret_variables[i]);
    for (size_t i = 0; i < invocation->sets_len; i++) {
        char *value = strchr(invocation->sets[i], '=') + 1;
        if (strstr(invocation->sets[i], "password") != NULL || strchr(value, '@') != NULL)
            memset(value, '*', strlen(value));
    }
}

/* Makes build/evalx work in a clone: BUILD/evalx uses BUILD/../languages. */
static void find_languages_of_clone(struct config *config)
{
    char folder[PATH_MAX];
    struct stat status;
    struct error ignored;

    if (config->languages_source != CONFIG_DEFAULT || access(config->languages, F_OK) == 0)
        return;
    ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - sizeof "/languages");
    if (len <= 0)
        return;
    folder[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
    (void)snprintf(folder + strlen(folder), sizeof "/languages", "/languages");
    if (stat(folder, &status) == 0 && S_ISDIR(status.st_mode))
        (void)config_set(config, "languages", folder, CONFIG_DEFAULT, &ignored);
}

static int apply_sets(const struct invocation *invocation, struct config *config, struct error *err)
{
    for (size_t i = 0; i < invocation->sets_len; i++) {
        char key[64];
        const char *equals = strchr(invocation->sets[i], '=');
        size_t len = (size_t)(equals - invocation->sets[i]);
        if (len >= sizeof key)
            return error_set(err, ERROR_USAGE, 0, "--set: unknown setting: the name is too long");
        memcpy(key, invocation->sets[i], len);
        key[len] = '\0';
        if (config_set(config, key, equals + 1, CONFIG_FLAG, err) < 0)
            return error_within(err, "--set");
    }
    return 0;
}

int settings_load(const struct invocation *invocation, struct config *config, struct error *err)
{
    enum log_level level;
    int outcome = config_load(config, invocation->config_file, err);
    config_warn_unknown();
    if (outcome == 0)
        outcome = apply_sets(invocation, config, err);
    if (outcome == 0)
        outcome = config_take_secrets(config, err);
    erase_secrets(invocation);
    if (outcome < 0)
        return -1;
    config_settle(config);
    find_languages_of_clone(config);
    if (log_level_parse(config->log_level, &level) == 0) /* checked by config */
        log_set_level(level);
    return 0;
}

int settings_languages(const struct config *config, struct languages *ret, struct error *err)
{
    if (languages_load(config->languages, config, ret, err) < 0)
        return -1;
    installed_languages_probe(ret, config->images, config->cpp_templates);
    return 0;
}
