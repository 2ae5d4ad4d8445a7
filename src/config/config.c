/*
 * config: each value is checked where it is read, so that the error can name its source.
 */
#include "config/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/self.h"
#include "base/text.h"
#include "config/fields.h"
#include "config/ini_file.h"
#include "config/names.h"

#define STANDARD_FILE "/etc/evalx/evalx.conf"

static const struct {
    const char *env, *key, *new_key;
} aliases[] = {
#define X(old_env, old_key, current_key) { .env = old_env, .key = old_key, .new_key = current_key },
    CONFIG_ALIASES(X)
#undef X
};

#define FIELD_ONE(...) +1
#define NAMES_LEN (CONFIG_ALIASES_LEN CONFIG_LIST(FIELD_ONE))

static const struct config_field *find_field(const char *key)
{
    for (size_t i = 0; i < config_fields_len; i++)
        if (strcmp(config_fields[i].key, key) == 0)
            return &config_fields[i];
    return NULL;
}

static void *value_of(struct config *config, const struct config_field *field)
{
    return (char *)config + field->at;
}

/* Parses a number with an optional suffix k, m or g. */
static int parse_uint(const char *value, uint64_t *ret)
{
    struct text digits = text_of(value);
    unsigned shift = 0;
    uint64_t number;

    if (digits.len > 0) {
        switch (digits.at[digits.len - 1]) {
        case 'k':
        case 'K':
            shift = 10;
            break;
        case 'm':
        case 'M':
            shift = 20;
            break;
        case 'g':
        case 'G':
            shift = 30;
            break;
        }
        digits.len -= shift != 0;
    }
    if (text_parse_u64(digits, &number) < 0 || __builtin_mul_overflow(number, UINT64_C(1) << shift, &number))
        return -1;
    *ret = number;
    return 0;
}

static int parse_bool(const char *value, bool *ret)
{
    static const char *const words[][2] = { { "false", "true" }, { "0", "1" }, { "no", "yes" }, { "off", "on" } };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int truth = 0; truth < 2; truth++)
            if (strcmp(value, words[i][truth]) == 0) {
                *ret = truth == 1;
                return 0;
            }
    return -1;
}

static int check_string(const struct config_field *field, const char *value, struct error *err)
{
    if (strlen(value) >= CONFIG_STRING_BYTES)
        return error_set(err, ERROR_SETUP, 0, "%s: expected at most %d bytes, got %zu", field->key,
                         CONFIG_STRING_BYTES - 1, strlen(value));
    if (!text_is_utf8(text_of(value)))
        return error_set(err, ERROR_SETUP, 0, "%s: expected UTF-8 text", field->key);
    for (const char *at = value; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return error_set(err, ERROR_SETUP, 0, "%s: expected text without control characters", field->key);
    return 0;
}

/* Ranges of numbers.  Those not listed reach from 0 to 2^53, the largest that JSON readers represent exactly. */
#define NUMBER_MAX (UINT64_C(1) << 53)
static const struct {
    const char *key;
    uint64_t min, max;
} ranges[] = {
    { "redis_port", 1, 65535 },
    { "slots", 0, 4096 },
    /* Above all accounts of the host, and below the IDs -1 and -2, which the kernel reserves. */
    { "uid_base", 65536, UINT32_MAX - 65536 },
    { "max_requests", 1, 1000 },
    { "max_body_bytes", 1024, UINT64_C(1) << 30 },
    { "queue_max", 1, NUMBER_MAX },
    { "queue_bytes", 1, NUMBER_MAX },
    { "results_bytes", 1, NUMBER_MAX },
    { "result_ttl_min_seconds", 1, 366 * 86400 },
    { "unserved_seconds", 0, 366 * 86400 },
    { "result_ttl_seconds", 1, 366 * 86400 },
    { "idempotency_seconds", 1, 366 * 86400 },
    { "client_queued_max", 0, UINT32_MAX },
    { "client_running_max", 0, UINT32_MAX },
    { "lease_ms", 1000, 3600000 },
    { "attempts_max", 1, 100 },
    { "returns_max", 1, 1000 },
    { "sandbox_exit_seconds", 1, 86400 },
    { "drain_seconds", 0, 86400 },
    { "wait_max_seconds", 1, 3600 },
    { "connections_max", 1, 1000000 },
    { "connections_per_ip", 0, 1000000 },
    { "request_deadline_seconds", 1, 3600 },
    { "artifact_bytes", 1 << 20, UINT64_C(1) << 40 },
    { "submission_artifact_bytes", 1 << 20, UINT64_C(1) << 40 },
    { "artifact_memory_bytes", 0, UINT64_C(1) << 40 },
    { "artifact_disk_bytes", 0, UINT64_C(1) << 40 },
    { "disk_bytes", 1 << 20, UINT64_C(1) << 40 },
    { "cpu_ms_max", 1, 86400000 },
    { "wall_ms_max", 1, 86400000 },
    { "memory_bytes_max", 1 << 20, UINT64_C(1) << 42 },
    { "processes_max", 1, 32768 },
    { "output_bytes_max", 0, 256 << 20 },
};

static int check_range(const struct config_field *field, uint64_t value, struct error *err)
{
    uint64_t min = 0, max = NUMBER_MAX;

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (strcmp(ranges[i].key, field->key) == 0) {
            min = ranges[i].min;
            max = ranges[i].max;
        }
    if (value < min || value > max)
        return error_set(err, ERROR_SETUP, 0, "%s = %llu: expected %llu to %llu", field->key, (unsigned long long)value,
                         (unsigned long long)min, (unsigned long long)max);
    return 0;
}

/* Checks strings that have a fixed form. */
static int check_form(const struct config_field *field, const char *value, struct error *err)
{
    char host[64], shown[CONFIG_SHOWN_BYTES];
    enum log_level level;
    uint16_t port;

    if (strcmp(field->key, "listen") == 0 || (strcmp(field->key, "worker_listen") == 0 && value[0] != '\0'))
        return config_split_listen(value, host, &port, err) < 0 ? error_within(err, "%s", field->key) : 0;
    if (strcmp(field->key, "log") == 0 && log_level_parse(value, &level) < 0)
        return error_set(err, ERROR_SETUP, 0, "log = %s: expected debug, info, warn or error", value);
    if (strcmp(field->key, "denied_syscalls") == 0 && strcmp(value, "error") != 0 && strcmp(value, "kill") != 0)
        return error_set(err, ERROR_SETUP, 0, "denied_syscalls = %.64s: expected error or kill", value);
    if (strcmp(field->key, "store") == 0 && value[0] != '\0' && strncmp(value, "redis://", 8) != 0 &&
        strncmp(value, "rediss://", 9) != 0 && strncmp(value, "-,", 2) != 0 &&
        (strncmp(value, "sqlite:", 7) != 0 || value[7] == '\0')) {
        config_mask(value, shown);
        return error_set(err, ERROR_SETUP, 0,
                         "store = %s: expected redis://..., rediss://..., sqlite:FILE or an empty value", shown);
    }
    if ((strcmp(field->key, "data") == 0 || strcmp(field->key, "user") == 0) && value[0] == '\0')
        return error_set(err, ERROR_SETUP, 0, "%s: expected a name, got an empty value", field->key);
    return 0;
}

static int assign(struct config *config, const struct config_field *field, const char *value, enum config_source source,
                  struct error *err)
{
    uint64_t number;
    bool truth;

    switch (field->type) {
    case CONFIG_TYPE_OF_STRING:
    case CONFIG_TYPE_OF_SECRET:
        if (check_string(field, value, err) < 0 || check_form(field, value, err) < 0)
            return -1;
        (void)snprintf(value_of(config, field), CONFIG_STRING_BYTES, "%s", value);
        break;
    case CONFIG_TYPE_OF_UINT:
        if (parse_uint(value, &number) < 0)
            return error_set(err, ERROR_SETUP, 0,
                             "%s = %.64s: expected a whole number with an optional suffix k, m or g", field->key,
                             value);
        if (check_range(field, number, err) < 0)
            return -1;
        memcpy(value_of(config, field), &number, sizeof number);
        break;
    case CONFIG_TYPE_OF_BOOL:
        if (parse_bool(value, &truth) < 0)
            return error_set(err, ERROR_SETUP, 0, "%s = %.64s: expected true or false", field->key, value);
        memcpy(value_of(config, field), &truth, sizeof truth);
        break;
    }
    memcpy((char *)config + field->source_at, &source, sizeof source);
    return 0;
}

/* By the current name. */
static int set_field(struct config *config, const struct config_field *field, const char *value,
                     enum config_source source, struct error *err)
{
    if (assign(config, field, value, source, err) < 0)
        return -1;
    for (size_t i = 0; i < CONFIG_ALIASES_LEN; i++)
        if (strcmp(aliases[i].new_key, field->key) == 0)
            config->alias_in_use[i] = false;
    return 0;
}

/* By an old name: without effect where the same source has set the current one. */
static int set_alias(struct config *config, size_t alias, const char *value, enum config_source source,
                     struct error *err)
{
    const struct config_field *field = find_field(aliases[alias].new_key);

    config->alias_given[alias] = true;
    if (config_field_source(config, field) == source && !config->alias_in_use[alias])
        return 0;
    if (assign(config, field, value, source, err) < 0)
        return -1;
    config->alias_in_use[alias] = true;
    return 0;
}

static int unknown_setting(const char *key, struct error *err)
{
    const char *meant = config_nearest_name(key, false);

    return error_set(err, ERROR_SETUP, 0, "there is no setting \"%.64s\"%s%s%s; `%s help settings` lists all", key,
                     meant != NULL ? " (did you mean " : "", meant != NULL ? meant : "", meant != NULL ? "?)" : "",
                     self_name());
}

int config_set(struct config *config, const char *key, const char *value, enum config_source source, struct error *err)
{
    const struct config_field *field = find_field(key);
    size_t alias = 0;
    int outcome;

    while (field == NULL && alias < CONFIG_ALIASES_LEN && strcmp(aliases[alias].key, key) != 0)
        alias++;
    if (field != NULL)
        outcome = set_field(config, field, value, source, err);
    else if (alias < CONFIG_ALIASES_LEN)
        outcome = set_alias(config, alias, value, source, err);
    else
        outcome = unknown_setting(key, err);
    if (outcome < 0 && source == CONFIG_FLAG)
        err->kind = ERROR_USAGE;
    return outcome;
}

void config_warn_deprecated(const struct config *config)
{
    for (size_t i = 0; i < CONFIG_ALIASES_LEN; i++)
        if (config->alias_given[i])
            log_warn("setting %s (%s) is deprecated: use %s (%s)", aliases[i].key, aliases[i].env, aliases[i].new_key,
                     find_field(aliases[i].new_key)->env);
}

/* Number of a known name, new or old; -1 if it is unknown. */
static int number_of_name(const char *key)
{
    const struct config_field *field = find_field(key);

    if (field != NULL)
        return (int)(field - config_fields);
    for (size_t i = 0; i < CONFIG_ALIASES_LEN; i++)
        if (strcmp(aliases[i].key, key) == 0)
            return (int)(config_fields_len + i);
    return -1;
}

struct file_reading {
    struct config *config;
    unsigned lines[NAMES_LEN]; /* where each name was set; 0: nowhere */
};

static int take_file_entry(void *context, const struct ini_entry *entry, struct error *err)
{
    struct file_reading *reading = context;
    int name = number_of_name(entry->key != NULL ? entry->key : "");

    if (entry->section[0] != '\0')
        return error_set(err, ERROR_SETUP, 0, "unexpected section [%.40s]: the settings file has no sections",
                         entry->section);
    if (entry->continues)
        return error_set(err, ERROR_SETUP, 0, "%.64s: expected the value on one line", entry->key);
    if (name >= 0 && reading->lines[name] != 0)
        return error_set(err, ERROR_SETUP, 0, "%s is set twice, here and on line %u", entry->key, reading->lines[name]);
    if (name >= 0)
        reading->lines[name] = entry->line;
    return config_set(reading->config, entry->key, entry->value, CONFIG_FILE, err);
}

/* Whoever writes the settings decides what root starts. */
static int check_writers(const char *file, struct error *err)
{
    struct stat status;

    if (stat(file, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & S_IWOTH) != 0)
        return error_set(err, ERROR_SETUP, 0, "every user can write to %s; run chmod o-w", file);
    return 0;
}

/* Only the standard file may be missing. */
static int load_file(struct config *config, const char *file, struct error *err)
{
    if (file == NULL) {
        file = getenv("EVALX_CONFIG");
        if (file == NULL || file[0] == '\0') {
            if (access(STANDARD_FILE, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
            file = STANDARD_FILE;
        }
    }
    struct file_reading reading = { .config = config };
    return check_writers(file, err) < 0 ? -1 : ini_file_read(file, take_file_entry, &reading, err);
}

/* NULL where it is not set.  Empty counts as not set: compose files and units pass unset variables that way. */
static const char *environment_value(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int load_environment(struct config *config, struct error *err)
{
    const char *value;

    for (size_t i = 0; i < config_fields_len; i++)
        if ((value = environment_value(config_fields[i].env)) != NULL &&
            set_field(config, &config_fields[i], value, CONFIG_ENVIRONMENT, err) < 0)
            return error_within(err, "environment variable %s", config_fields[i].env);
    for (size_t i = 0; i < CONFIG_ALIASES_LEN; i++)
        if ((value = environment_value(aliases[i].env)) != NULL &&
            set_alias(config, i, value, CONFIG_ENVIRONMENT, err) < 0)
            return error_within(err, "environment variable %s", aliases[i].env);
    return 0;
}

int config_load(struct config *config, const char *file, struct error *err)
{
    struct config loaded = { 0 };

    for (size_t i = 0; i < config_fields_len; i++)
        if (assign(&loaded, &config_fields[i], config_fields[i].standard, CONFIG_DEFAULT, err) < 0)
            assert(0 && "a default fails its own check");
    if (load_file(&loaded, file, err) < 0)
        return -1;
    if (load_environment(&loaded, err) < 0)
        return -1;
    *config = loaded;
    return 0;
}

void config_print(const struct config *config, FILE *out)
{
    char shown[CONFIG_SHOWN_BYTES];

    for (size_t i = 0; i < config_fields_len; i++) {
        const struct config_field *field = &config_fields[i];
        config_field_show(config, field, shown);
        (void)fprintf(out, "%-26s %-32s %s\n", field->key, shown,
                      config_source_name(config_field_source(config, field)));
    }
}

void config_print_help(FILE *out)
{
    for (size_t i = 0; i < config_fields_len; i++) {
        const struct config_field *field = &config_fields[i];
        (void)fprintf(out, "%s = %s\n    %s\n    %s\n", field->key, field->standard, field->env, field->help);
    }
}

int config_split_listen(const char *listen, char ret_host[64], uint16_t *ret_port, struct error *err)
{
    const char *host = listen, *colon = strrchr(listen, ':');
    struct in6_addr ignored;
    char name[64];
    uint64_t port;

    if (colon == NULL || text_parse_u64(text_of(colon + 1), &port) < 0 || port > UINT16_MAX)
        goto wrong;
    size_t len = (size_t)(colon - host);
    bool is_ip6 = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (is_ip6) {
        host++;
        len -= 2;
    }
    if (len >= sizeof name)
        goto wrong;
    memcpy(name, host, len);
    name[len] = '\0';
    if (is_ip6 ? inet_pton(AF_INET6, name, &ignored) != 1
               : strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != len)
        goto wrong;
    memcpy(ret_host, name, len + 1);
    *ret_port = (uint16_t)port;
    return 0;

wrong:
    return error_set(err, ERROR_SETUP, 0, "%.64s: expected ADDRESS:PORT, [ADDRESS6]:PORT or :PORT", listen);
}

void config_settle(struct config *config)
{
    /* Keys decide who may use evalx, so the network may reach it. */
    if (config->listen_source == CONFIG_DEFAULT && config->api_keys_file[0] != '\0')
        (void)snprintf(config->listen, sizeof config->listen, "0.0.0.0:3000");
}

bool config_listens_on_loopback(const struct config *config)
{
    static const unsigned char mapped[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 }; /* ::ffff:127.x.y.z */
    struct in6_addr ip6;
    struct in_addr ip4;
    struct error ignored;
    uint16_t port;
    char host[64];

    if (config_split_listen(config->listen, host, &port, &ignored) < 0)
        return false;
    if (inet_pton(AF_INET, host, &ip4) == 1)
        return ntohl(ip4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &ip6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&ip6) || memcmp(&ip6, mapped, sizeof mapped) == 0;
    return strcmp(host, "localhost") == 0;
}

bool config_uses_redis(const struct config *config)
{
    if (config->store[0] != '\0')
        return strncmp(config->store, "sqlite:", 7) != 0; /* redis://, rediss://, or a list of them */
    return config->redis_host[0] != '\0';
}
