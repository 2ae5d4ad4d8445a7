/*
 * evalx check: can this host do what the configuration asks, tried for real: a sandbox is started, a program is run in
 * it, the store is opened.  Each point that fails comes with what to do about it.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/local_run.h"
#include "cli/settings.h"
#include "daemon/privileges.h"
#include "queue/queue.h"
#include "sandbox/host_check.h"
#include "sandbox/self_test.h"

enum { OPTION_CONFIG, OPTION_JSON };

static const struct option_spec options[] = {
    [OPTION_CONFIG] = { "config", OPTION_MAYBE_VALUE, "=FILE", "alone: print what is set, and where; else that file" },
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "as JSON" },
};

struct report {
    json_t *points; /* NULL: printed as they come */
    bool all_well;
};

static void tell_state(struct report *report, enum host_state state, const char *name, const char *remedy,
                       const char *words)
{
    static const char *const labels[] = { [HOST_OK] = "ok", [HOST_WARN] = "warn", [HOST_MISSING] = "FAIL" };
    const char *shown = state == HOST_OK ? NULL : remedy;

    report->all_well = report->all_well && state != HOST_MISSING;
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

/* One point; `remedy` is shown where it is not well. */
__attribute__((format(printf, 5, 6))) static void tell(struct report *report, bool well, const char *name,
                                                       const char *remedy, const char *fmt, ...)
{
    char words[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    tell_state(report, well ? HOST_OK : HOST_MISSING, name, remedy, words);
}

/* What the kernel and this machine offer; before root is given up, because capabilities are among it. */
static void check_host(struct report *report, const struct config *config)
{
    struct host_finding findings[HOST_FINDINGS_MAX];
    uint64_t slots = config->slots != 0 ? config->slots : (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    struct host_environment host = { .root = "", .data = config->data, .processes = slots * config->processes_max };

    host_environment_disk(&host);
    size_t len = host_check(&host, findings);
    for (size_t i = 0; i < len; i++)
        tell_state(report, findings[i].state, findings[i].name, findings[i].remedy, findings[i].seen);
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
    tell(report, available > 0, "languages", "install their packages; `evalx languages` names the missing files",
         "%zu of %zu in %s are installed%s%s", available, languages->len, config->languages,
         len > 0 ? "; missing: " : "", missing);
}

/* The user that evalx becomes, and a data folder it can have. */
static void check_user(struct report *report, const struct config *config)
{
    struct identity identity;
    struct error err = { 0 };
    struct stat status;

    if (identity_find(config, &identity, &err) < 0) {
        tell(report, false, "user", "make the user, or set user", "%s", err.text);
        return;
    }
    tell(report, true, "user", NULL, "runs as %s (%u) after giving up root", identity.name, (unsigned)identity.uid);
    if (stat(config->data, &status) < 0)
        tell(report, errno == ENOENT, "data", "choose another folder by EVALX_DATA", "%s %s", config->data,
             errno == ENOENT ? "does not exist yet; it is made at the first start" : strerror(errno));
    else
        tell(report, S_ISDIR(status.st_mode) && (status.st_uid == identity.uid || status.st_uid == 0), "data",
             "chown it to that user, or choose another folder by EVALX_DATA", "%s belongs to user %u", config->data,
             (unsigned)status.st_uid);
}

/* One program, whole way: the language that is quickest to start among those here. */
static void check_hello(struct report *report, struct local_run *local_run, const struct config *config,
                        const struct languages *languages)
{
    const struct language *chosen = languages_find(languages, TEXT("bash"));
    struct error err = { 0 };
    uint64_t took_us = 0;

    for (size_t i = 0; i < languages->len && (chosen == NULL || !chosen->available); i++)
        chosen = &languages->list[i];
    if (chosen == NULL || !chosen->available)
        return; /* said by check_languages */
    if (local_run_hello(local_run, config, languages, chosen, &took_us, &err) < 0)
        tell(report, false, "run", "`evalx languages verify` tries each language", "%s: %s", chosen->id.at, err.text);
    else
        tell(report, true, "run", NULL, "a program in %s gave the right output after %.1f ms", chosen->name.at,
             (double)took_us / 1e3);
}

/* The same self-test as at every start. */
static void check_walls(struct report *report, struct local_run *local_run, const struct languages *languages)
{
    struct error err = { 0 };
    uint64_t took_us = 0;
    size_t i = 0;

    if (!sandbox_is_native(local_run->sandbox))
        return; /* the probe knows the native driver's walls */
    while (i < languages->len && !languages->list[i].available)
        i++;
    if (i == languages->len)
        return;                          /* said by check_languages */
    sandbox_slot_close(local_run->slot); /* the test takes its slot */
    local_run->slot = NULL;
    if (self_test_run(local_run->sandbox, languages->list[i].image.at, &took_us, &err) < 0 ||
        sandbox_slot_open(local_run->sandbox, 0, &local_run->slot, &err) < 0)
        tell(report, false, "walls", "run nothing here before this is found out; evalx refuses to start", "%s",
             err.text);
    else
        tell(report, true, "walls", NULL, "the probe found all of them from inside after %.1f ms",
             (double)took_us / 1e3);
}

static void check_sandbox(struct report *report, const struct config *config, const struct languages *languages)
{
    struct local_run local_run;
    struct error err = { 0 };

    if (geteuid() != 0) {
        tell(report, false, "sandbox", "sudo evalx check", "cannot be tried without root");
        return;
    }
    if (local_run_open(config, languages, &local_run, &err) < 0) {
        tell(report, false, "sandbox", "the text says what is missing on this host", "%s", err.text);
        return;
    }
    const char *cgroup = sandbox_cgroup(local_run.sandbox);
    tell(report, true, "sandbox", NULL, "namespaces, seccomp and a box work");
    tell(report, true, "driver", NULL, "%s", sandbox_backend(local_run.sandbox));
    check_walls(report, &local_run, languages);
    tell(report, strcmp(cgroup, "none") != 0, "cgroup",
         "mount cgroup v2 and start evalx as a service with Delegate=yes",
         strcmp(cgroup, "none") != 0 ? "%s" : "%s: no limits of memory and processes", cgroup);
    if (local_run.slot != NULL)
        check_hello(report, &local_run, config, languages);
    local_run_close(&local_run);
}

/* Redis is asked for its depth.  SQLite is not opened: it is the running server's alone, and would be made as root. */
static void check_store(struct report *report, const struct config *config)
{
    struct store *store = NULL;
    struct queue_depth *depth = calloc(1, sizeof *depth);
    struct error err = { 0 };

    if (depth == NULL)
        abort();
    if (!config_uses_redis(config))
        tell(report, true, "store", NULL, "SQLite in %s; set REDIS_HOST for more than one machine", config->data);
    else if (store_open(config, &store, &err) < 0 || store_depth(store, depth, &err) < 0)
        tell(report, false, "store", "start Redis, or correct REDIS_HOST, REDIS_PORT and REDIS_PASSWORD", "%s",
             err.text);
    else
        tell(report, true, "store", NULL, "%s answers: %" PRIu64 " waiting, %" PRIu64 " running, %" PRIu32 " workers",
             store->kind, depth->waiting, depth->running, depth->workers);
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

    tell(report, true, "version", NULL, "evalx " EVALX_VERSION);
    check_user(report, config);
    check_host(report, config);
    if (settings_languages(config, &languages, &err) < 0) {
        tell(report, false, "languages", "correct the file, or choose another folder by EVALX_LANGUAGES", "%s",
             err.text);
    } else {
        languages.require_available = true;
        check_languages(report, config, &languages);
        /* Forks the launcher and gives up root: before any thread, so before the store. */
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
    struct report report = { .all_well = true };
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
        json_t *whole = json_pack("{s:b, s:o}", "ok", report.all_well, "points", report.points);
        (void)json_dumpf(whole, stdout, JSON_INDENT(2));
        (void)putchar('\n');
        json_decref(whole);
    } else {
        (void)printf("%s\n", report.all_well ? "evalx can run here" : "evalx cannot run here as it is set up");
    }
    return report.all_well ? EVALX_EXIT_OK : EVALX_EXIT_FAILURE;
}

const struct subcommand check_command = {
    .name = "check",
    .operands = "",
    .summary = "whether this host can sandbox, and what is missing",
    .details =
        "\nStarts a sandbox and runs a program in it (as root), asks the store, looks at the languages.  The exit\n"
        "status is 0 if all is well.  `evalx check --config` prints every setting and where it came from.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .run = run,
};
