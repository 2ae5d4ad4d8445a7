/*
 * names: a misspelt setting is otherwise one that silently has no effect.
 */
#include "config/names.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "config/fields.h"

#define NAME_MAX_LEN 63
#define DISTANCE_MAX 3

/* Variables that are no settings: of commands, of the scripts in deploy/ and of tests.  "_" at the end: all such. */
static const char *const other_variables[] = {
    "EVALX_CONFIG",  "EVALX_SERVER",
    "EVALX_API_KEY", "EVALX_BINARY",
    "EVALX_BUILD",   "EVALX_ROLE",
    "EVALX_MIRROR",  "EVALX_REDIS_SECRET_ARN",
    "EVALX_GUARD",   "EVALX_REDIS_PASSWORD_SOURCE",
    "EVALX_JUNIT",   "EVALX_EGRESS_FIREWALL",
    "EVALX_SEED",    "EVALX_AWS_",
    "EVALX_TEST_",   "EVALX_VM_",
    "EVALX_CHAOS_",  "EVALX_HOSTILE_",
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many characters must be inserted, removed or replaced to make `a` of `b` (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1], a_len = strlen(a), b_len = strlen(b);

    if (a_len > NAME_MAX_LEN || b_len > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            row[j] = least(least(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

const char *config_nearest_name(const char *name, bool of_environment)
{
    size_t best = DISTANCE_MAX + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < config_fields_len; i++) {
        const char *known = of_environment ? config_fields[i].env : config_fields[i].key;
        size_t here = distance(name, known);
        if (here < best && here < strlen(known) / 2) {
            best = here;
            nearest = known;
        }
    }
    return nearest;
}

static bool is_other_variable(const char *name)
{
    for (size_t i = 0; i < sizeof other_variables / sizeof *other_variables; i++) {
        const char *other = other_variables[i];
        size_t len = strlen(other);
        if (other[len - 1] == '_' ? strncmp(name, other, len) == 0 : strcmp(name, other) == 0)
            return true;
    }
    return false;
}

static bool is_setting(const char *name)
{
    static const char *const old_names[] = {
#define X(old_env, old_key, new_key) old_env,
        CONFIG_ALIASES(X)
#undef X
    };

    for (size_t i = 0; i < config_fields_len; i++)
        if (strcmp(config_fields[i].env, name) == 0)
            return true;
    for (size_t i = 0; i < sizeof old_names / sizeof *old_names; i++)
        if (strcmp(old_names[i], name) == 0)
            return true;
    return false;
}

void config_warn_unknown(void)
{
    for (char **variable = environ; *variable != NULL; variable++) {
        size_t len = strcspn(*variable, "=");
        char name[NAME_MAX_LEN + 1];
        if (strncmp(*variable, "EVALX_", 6) != 0 || len > NAME_MAX_LEN || (*variable)[len] == '\0' ||
            (*variable)[len + 1] == '\0')
            continue; /* an empty variable counts as not set */
        memcpy(name, *variable, len);
        name[len] = '\0';
        if (is_setting(name) || is_other_variable(name))
            continue;
        const char *meant = config_nearest_name(name, true);
        log_warn("environment variable %s is no setting and has no effect%s%s%s", name,
                 meant != NULL ? " (did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?)" : "");
    }
}
