/*
 * evalx check: tests whether this host supports the configuration.  It starts a sandbox, runs a program in it and opens
 * the store.  Each point that fails comes with a remedy.
 */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api_keys.h"
#include "base/landlock.h"
#include "base/self.h"
#include "cli/commands.h"
#include "cli/local_run.h"
#include "cli/settings.h"
#include "daemon/announce.h"
#include "daemon/data_folder.h"
#include "queue/queue.h"
#include "sandbox/host_check.h"
#include "sandbox/image_layers.h"
#include "sandbox/self_test.h"

enum { OPTION_CONFIG, OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_CONFIG] = { "config", OPTION_MAYBE_VALUE, "=FILE", "without FILE: print all settings with their sources" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print JSON" },
};

struct report {
    json_t *points; /* NULL: printed as they come */
    bool all_ok;
};

static void report_state(struct report *report, enum host_state state, const char *name, const char *remedy,
                         const char *words)
{
    static const char *const labels[] = { [HOST_OK] = "ok", [HOST_WARN] = "warn", [HOST_MISSING] = "FAIL" };
    const char *shown = state == HOST_OK ? NULL : remedy;

    report->all_ok = report->all_ok && state != HOST_MISSING;
    if (report->points != NULL) {
        (void)json_array_append_new(report->points,
                                    json_pack("{s:s, s:b, s:s, s:s, s:s?}", "point", name, "ok", state != HOST_MISSING,
                                              "state", host_state_name(state), "text", words, "remedy", shown));
        return;
    }
    (void)printf("%-5s %-20s %s\n", labels[state], name, words);
    if (shown != NULL)
        (void)printf("%-26s -> %s\n", "", shown);
    (void)fflush(stdout);
}

/* Reports one point.  `remedy` is shown if it is not ok. */
__attribute__((format(printf, 5, 6))) static void report_point(struct report *report, bool ok, const char *name,
                                                               const char *remedy, const char *fmt, ...)
{
    char words[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    report_state(report, ok ? HOST_OK : HOST_MISSING, name, remedy, words);
}

/* The kernel and the machine.  Called before root is dropped, because it inspects capabilities. */
static void check_host(struct report *report, const struct config *config)
{
    struct host_finding findings[HOST_FINDINGS_MAX];
    uint64_t slots = config->slots != 0 ? config->slots : (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    struct host_environment host = { .root = "",
                                     .data = config->data,
                                     .has_landlock = landlock_is_available(),
                                     .processes = slots * config->processes_max };

    host_environment_disk(&host);
    size_t len = host_check(&host, findings);
    for (size_t i = 0; i < len; i++)
        report_state(report, findings[i].state, findings[i].name, findings[i].remedy, findings[i].seen);
}

static size_t add_names(char *words, size_t len, size_t size, const char *folder, const char *const names[])
{
    for (size_t i = 0; names[i] != NULL && len < size; i++)
        len += (size_t)snprintf(words + len, size - len, "%s%s", i == 0 ? folder : " ", names[i]);
    return len;
}

/* What of this machine programs see. */
static void check_view(struct report *report, const struct languages *languages)
{
    char words[400];
    size_t i = 0, len;

    while (i < languages->len && !(languages->list[i].available && text_equal(languages->list[i].image, TEXT("host"))))
        i++;
    if (i == languages->len) {
        report_point(report, true, "view", NULL, "programs see their images, and nothing of this machine");
        return;
    }
    len = (size_t)snprintf(words, sizeof words, "programs of the image \"host\" see of this machine ");
    len = add_names(words, len, sizeof words, "/usr/: ", image_host_usr);
    len += (size_t)snprintf(words + len, sizeof words - len, "; of ");
    (void)add_names(words, len, sizeof words, "/etc/: ", image_host_etc);
    report_point(report, true, "view", NULL, "%s", words);
}

static void check_languages(struct report *report, const struct config *config, const struct languages *languages)
{
    char missing[512] = "";
    size_t len = 0, available = 0;

    for (size_t i = 0; i < languages->len; i++) {
        const struct language *language = &languages->list[i];
        available += language->available;
        if (!language->available && len < sizeof missing)
            len += (size_t)snprintf(missing + len, sizeof missing - len, "%s%.*s", len > 0 ? ", " : "",
                                    TEXT_ARG(language->id));
    }
    char remedy[PATH_MAX + 80];
    (void)snprintf(remedy, sizeof remedy, "install their packages; `%s languages` lists the missing files",
                   self_name());
    report_point(report, available > 0, "languages", remedy, "%zu of %zu in %s are installed%s%s", available,
                 languages->len, config->languages, len > 0 ? "; missing: " : "", missing);
}

static void check_data(struct report *report, const struct config *config, const struct identity *identity)
{
    struct error err = { 0 };
    bool exists = false;

    if (geteuid() != 0)
        report_point(report, true, "data", NULL, "%s: only root can test it", config->data);
    else if (data_folder_check(config->data, identity, &exists, &err) < 0)
        report_point(report, false, "data", "set EVALX_DATA to another folder, or correct this one", "%s", err.text);
    else
        report_point(report, true, "data", NULL, "%s %s", config->data,
                     exists ? "is one that evalx can use" : "does not exist yet; it is created at the first start");
}

/* Where the API listens, and who may use it. */
static void check_access(struct report *report, const struct config *config, const struct identity *identity)
{
    char access[ANNOUNCE_ACCESS_BYTES];
    struct api_keys *api_keys = NULL;
    struct error err = { 0 };

    if (api_keys_load(config, identity->uid, &api_keys, &err) < 0) {
        report_point(report, false, "access", "correct the file, or set EVALX_API_KEYS_FILE to another one", "%s",
                     err.text);
        return;
    }
    announce_access(config, api_keys_len(api_keys), access);
    bool is_open = api_keys == NULL && !config_listens_on_loopback(config);
    char words[ANNOUNCE_ACCESS_BYTES + 32 + CONFIG_STRING_BYTES];
    (void)snprintf(words, sizeof words, "listens on %s, %s", config->listen, access);
    report_state(report, is_open ? HOST_WARN : HOST_OK, "access", "set EVALX_API_KEYS_FILE, or listen on 127.0.0.1",
                 words);
    api_keys_free(api_keys);
}

/* The user that evalx switches to, its data folder and its address. */
static void check_user(struct report *report, const struct config *config)
{
    struct identity identity;
    struct error err = { 0 };

    if (identity_find(config, &identity, &err) < 0) {
        report_point(report, false, "user", "create the user, or set EVALX_USER", "%s", err.text);
        return;
    }
    report_point(report, true, "user", NULL, "runs as user %s, ID %u, after dropping root", identity.name,
                 (unsigned)identity.uid);
    check_data(report, config, &identity);
    check_access(report, config, &identity);
}

/* Runs one program in bash, or in the first available language. */
static void check_hello(struct report *report, struct local_run *local_run, const struct config *config,
                        const struct languages *languages)
{
    const struct language *chosen = languages_find(languages, TEXT("bash"));
    struct error err = { 0 };
    uint64_t took_us = 0;

    for (size_t i = 0; i < languages->len && (chosen == NULL || !chosen->available); i++)
        chosen = &languages->list[i];
    if (chosen == NULL || !chosen->available)
        return; /* reported by check_languages */
    char verify[PATH_MAX + 80];
    (void)snprintf(verify, sizeof verify, "run `%s languages verify` to test each language", self_name());
    if (local_run_hello(local_run, config, chosen, &took_us, &err) < 0)
        report_point(report, false, "run", verify, "%s: %s", chosen->id.at, err.text);
    else
        report_point(report, true, "run", NULL, "a program in %s printed the right output after %.1f ms",
                     chosen->name.at, (double)took_us / 1e3);
}

/* The same self-test as at every start. */
static void check_isolation(struct report *report, struct local_run *local_run, const struct languages *languages)
{
    struct error err = { 0 };
    uint64_t took_us = 0;
    size_t i = 0;

    if (!sandbox_is_native(local_run->sandbox))
        return; /* the probe only knows the isolation of the native backend */
    while (i < languages->len && !languages->list[i].available)
        i++;
    if (i == languages->len)
        return;                          /* reported by check_languages */
    sandbox_slot_close(local_run->slot); /* the self-test opens a slot itself */
    local_run->slot = NULL;
    if (self_test_run(local_run->sandbox, languages->list[i].image.at, &took_us, &err) < 0 ||
        sandbox_slot_open(local_run->sandbox, 0, &local_run->slot, &err) < 0)
        report_point(report, false, "isolation",
                     "run no programs on this host until this is fixed; evalx refuses to start", "%s", err.text);
    else
        report_point(report, true, "isolation", NULL,
                     "the probe confirmed every isolation check from inside after %.1f ms", (double)took_us / 1e3);
}

static void check_sandbox(struct report *report, const struct config *config, const struct languages *languages)
{
    struct local_run local_run;
    struct error err = { 0 };

    if (geteuid() != 0) {
        char remedy[PATH_MAX + 20];
        (void)snprintf(remedy, sizeof remedy, "sudo %s check", self_name());
        report_point(report, false, "sandbox", remedy, "cannot be tested without root");
        return;
    }
    if (local_run_open(config, languages, &local_run, &err) < 0) {
        report_point(report, false, "sandbox", "fix what the text names", "%s", err.text);
        return;
    }
    const char *cgroup = sandbox_cgroup(local_run.sandbox);
    report_point(report, true, "sandbox", NULL, "namespaces, seccomp and a sandbox work");
    report_point(report, true, "backend", NULL, "%s", sandbox_backend(local_run.sandbox));
    check_isolation(report, &local_run, languages);
    report_point(report, strcmp(cgroup, "none") != 0, "cgroup",
                 "mount cgroup v2 and start evalx as a service with Delegate=yes",
                 strcmp(cgroup, "none") != 0 ? "%s" : "%s: no limits on memory and processes", cgroup);
    if (local_run.slot != NULL)
        check_hello(report, &local_run, config, languages);
    local_run_close(&local_run);
}

/* Reads the queue depth from Redis.  SQLite is not opened: a running server owns it, and root would create it. */
static void check_store(struct report *report, const struct config *config)
{
    struct store *store = NULL;
    struct queue_depth *depth = calloc(1, sizeof *depth);
    struct error err = { 0 };

    if (depth == NULL)
        abort();
    if (!config_uses_redis(config))
        report_point(report, true, "store", NULL, "SQLite in %s; more than one machine needs REDIS_HOST", config->data);
    else if (store_open(config, &store, &err) < 0 || store_depth(store, depth, &err) < 0)
        report_point(report, false, "store", "start Redis, or correct REDIS_HOST, REDIS_PORT or REDIS_PASSWORD", "%s",
                     err.text);
    else
        report_point(report, true, "store", NULL,
                     "%s answers: %" PRIu64 " waiting, %" PRIu64 " running, %" PRIu32 " workers", store->kind,
                     depth->waiting, depth->running, depth->workers);
    store_close(store);
    free(depth);
}

static int print_config(const struct config *config, bool as_json)
{
    if (!as_json) {
        config_print(config, stdout);
        return EVALX_EXIT_OK;
    }
    return config_print_json(config, stdout) < 0 ? EVALX_EXIT_FAILURE : EVALX_EXIT_OK;
}

static void check_all(struct report *report, const struct config *config)
{
    struct languages languages;
    struct error err = { 0 };

    report_point(report, true, "version", NULL, "evalx " EVALX_VERSION);
    check_user(report, config);
    check_host(report, config);
    if (settings_languages(config, &languages, &err) < 0) {
        report_point(report, false, "languages", "correct the file, or set EVALX_LANGUAGES to another folder", "%s",
                     err.text);
    } else {
        languages.require_available = true;
        check_languages(report, config, &languages);
        check_view(report, &languages);
        /* Forks the launcher and drops root, so before the store starts threads. */
        check_sandbox(report, config, &languages);
        languages_done(&languages);
    }
    check_store(report, config);
}

static int run(const struct invocation *invocation)
{
    bool as_json = invocation_has(invocation, OPTION_JSON);
    const char *config_option = invocation->values[OPTION_CONFIG];
    struct invocation with_file = *invocation;
    struct report report = { .all_ok = true };
    struct config config;
    struct error err = { 0 };

    if (config_option != NULL && config_option[0] != '\0')
        with_file.config_file = config_option;
    if (settings_load(&with_file, &config, &err) < 0)
        return command_failed(&err);
    if (config_option != NULL && config_option[0] == '\0')
        return print_config(&config, as_json);
    if (as_json)
        report.points = json_array();
    check_all(&report, &config);
    if (report.points != NULL) {
        json_t *whole = json_pack("{s:b, s:o}", "ok", report.all_ok, "points", report.points);
        (void)json_dumpf(whole, stdout, JSON_INDENT(2));
        (void)putchar('\n');
        json_decref(whole);
    } else {
        (void)printf("%s\n", report.all_ok ? "evalx can run here" : "evalx cannot run here with this configuration");
    }
    return report.all_ok ? EVALX_EXIT_OK : EVALX_EXIT_FAILURE;
}

const struct subcommand check_command = {
    .name = "check",
    .operands = "",
    .summary = "test whether evalx can run on this host",
    .details =
        "\nInspects the kernel, the user, the data folder and the languages, connects to the store, and as root "
        "starts\n"
        "a sandbox and runs a program in it.  The exit status is 0 if no point fails.  `evalx check --config` prints\n"
        "every setting and its source.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .run = run,
};
