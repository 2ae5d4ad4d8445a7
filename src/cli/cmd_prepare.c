/*
 * evalx prepare: makes what compilers and runtimes start faster with, once (sandbox/prepared.h).
 *
 * This process stays root and writes; a child of it gives root up, has the language's script run in a box like any
 * program, and hands over what the box held as one descriptor.  Its content is nobody's to trust: it is unpacked as
 * sources are (sandbox/archive.h), into a new folder that gets its name only when it is whole.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sandbox/image_layers.h"
#include "base/packet.h"
#include "cli/commands.h"
#include "cli/local_run.h"
#include "cli/prepared_folder.h"
#include "cli/settings.h"
#include "model/judge.h"
#include "sandbox/prepared.h"

enum { OPTION_AGAIN };

static const struct option_spec options[] = {
    [OPTION_AGAIN] = { "again", OPTION_ALONE, NULL, "also what is prepared already" },
};

/* What the child says; with it comes the bundle, if all went well. */
struct report {
    struct error err;
    char said[512]; /* the script's last words: on stderr if there are any, else on stdout */
};

static void take_last_words(const struct run_outcome *outcome, struct report *report)
{
    struct text said = buf_text(outcome->errors.len > 0 ? &outcome->errors : &outcome->output);
    size_t len = said.len < sizeof report->said ? said.len : sizeof report->said - 1;

    if (len > 0)
        memcpy(report->said, said.at + said.len - len, len);
    report->said[len] = '\0';
}

/* In a box that is open; *ret_archive is what the script left. */
static int run_script(struct sandbox_slot *slot, const struct language *language, int *ret_archive,
                      struct report *report)
{
    struct arena arena;
    struct run_outcome outcome;
    const char *const shell[] = { "/bin/sh", "-euc", language->prepare_script.at, "prepare" };
    const size_t shell_len = sizeof shell / sizeof *shell;
    char **env, **words;
    struct error *err = &report->err;

    arena_init(&arena, 64 << 10);
    env = arena_alloc_array(&arena, language->env_len + 2, sizeof *env, err);
    words = arena_alloc_array(&arena, shell_len + language->compile.words_len + 1, sizeof *words, err);
    if (env == NULL || words == NULL)
        return -1;
    memcpy(words, shell, sizeof shell);
    for (size_t i = 0; i < language->compile.words_len; i++)
        words[shell_len + i] = (char *)(uintptr_t)language->compile.words[i].at;
    for (size_t i = 0; i < language->env_len; i++)
        env[i] = (char *)(uintptr_t)language->env[i].at;
    env[language->env_len] = (char *)(uintptr_t)language->prepare_env; /* NULL where the script reads none */
    struct run_request job = {
        .image = language->image.at,
        .class = RUN_CLASS_COMPILER,
        .argv = words,
        .env = env,
        .limits = language->prepare_limits,
        .archive_fd = -1,
        .keep_files = true,
    };
    int result = sandbox_run(slot, &job, &outcome, err);
    arena_done(&arena);
    if (result < 0)
        return -1;
    enum verdict verdict = judge_run(&outcome.stats, buf_text(&outcome.output), NULL);
    take_last_words(&outcome, report);
    if (verdict != VERDICT_ACCEPTED)
        result = error_set(err, ERROR_SANDBOX, 0, "its script ended as %s (exit code %d)", verdict_name(verdict),
                           outcome.stats.exit_code);
    else if (outcome.archive_fd < 0)
        result = error_set(err, ERROR_SANDBOX, 0, "what its script made cannot be kept: more than %" PRIu64 " MiB",
                           job.limits.disk_bytes >> 20);
    else
        *ret_archive = take_fd(&outcome.archive_fd);
    run_outcome_done(&outcome);
    return result;
}

static _Noreturn void be_child(const struct config *config, const struct language *language, int answer)
{
    struct languages only = { .list = (struct language *)(uintptr_t)language, .len = 1 };
    struct report report = { 0 };
    struct local_run local_run;
    int archive = -1;

    if (local_run_open(config, &only, &local_run, &report.err) == 0) {
        (void)run_script(local_run.slot, language, &archive, &report);
        local_run_close(&local_run);
    }
    (void)packet_send(answer, &report, sizeof report, &archive, archive >= 0 ? 1 : 0);
    exit(0);
}

/* The script's files in one descriptor, the caller's. */
static int make_archive(const struct config *config, const struct language *language, int *ret_archive,
                        struct report *report, struct error *err)
{
    int pair[2], archive = -1;
    size_t fds = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "socketpair");
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)close(pair[0]);
        be_child(config, language, pair[1]);
    }
    (void)close(pair[1]);
    auto_close int answer = pair[0];
    if (child < 0)
        return error_set(err, ERROR_SANDBOX, errno, "fork");
    int got = packet_receive(answer, report, sizeof *report, &archive, 1, &fds, 0);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    report->said[sizeof report->said - 1] = '\0';
    if (got != 1)
        return error_set(err, ERROR_SANDBOX, got < 0 ? errno : 0, "the sandbox ended without an answer");
    if (fds != 1) {
        *err = report->err;
        err->text[sizeof err->text - 1] = '\0';
        return -1;
    }
    *ret_archive = archive;
    return 0;
}

/* Of a script that did its work only those lines that are meant for people: what the JVM warns of is not. */
static void print_notes(const char *said)
{
    while (*said != '\0') {
        size_t len = strcspn(said, "\n");
        if (strncmp(said, "note: ", 6) == 0)
            (void)printf("%-14s %.*s\n", "", (int)len, said);
        said += len + (said[len] == '\n' ? 1 : 0);
    }
}

static int prepare_one(const struct config *config, const struct language *language, bool again, struct report *report,
                       struct error *err)
{
    auto_close int folder = -1, archive = -1;
    char name[PREPARED_NAME_BYTES];
    struct layers layers;
    uint64_t begin_us = clock_mono_us(), bytes = 0;

    if (prepared_folder_open(config->images, language->image.at, &folder, err) < 0 ||
        image_layers_open(config->images, language->image.at, &layers, err) < 0)
        return -1;
    prepared_name(language, &layers, name);
    image_layers_close(&layers);
    if (!again && prepared_folder_has(folder, name)) {
        (void)printf("%-14s is prepared\n", language->id.at);
        return 0;
    }
    (void)printf("%-14s ", language->id.at);
    if (make_archive(config, language, &archive, report, err) < 0 ||
        prepared_folder_put(folder, name, archive, &bytes, err) < 0)
        return -1;
    prepared_folder_sweep(folder, language->id, name);
    (void)printf("prepared after %.1f s: %.1f MB\n", (double)(clock_mono_us() - begin_us) / 1e6, (double)bytes / 1e6);
    print_notes(report->said);
    return 0;
}

/* false if it could be prepared, and was not. */
static bool prepare_and_tell(const struct config *config, const struct language *language, bool again)
{
    struct report report = { 0 };
    struct error err = { 0 };

    if (!language->available)
        (void)printf("%-14s is not installed here\n", language->id.at);
    else if (language->prepare_script.len == 0)
        (void)printf("%-14s has nothing to prepare\n", language->id.at);
    else if (prepare_one(config, language, again, &report, &err) < 0) {
        (void)printf("FAILS: %s\n%s%s", err.text, report.said,
                     report.said[0] != '\0' && report.said[strlen(report.said) - 1] != '\n' ? "\n" : "");
        return false;
    }
    (void)fflush(stdout);
    return true;
}

/* All that can be prepared, or those named. */
static int prepare(const struct invocation *invocation, const struct config *config, const struct languages *languages)
{
    bool again = invocation_has(invocation, OPTION_AGAIN), well = true;
    struct error err = { 0 };

    for (int i = 0; i < invocation->operands_len; i++)
        if (languages_find(languages, text_of(invocation->operands[i])) == NULL) {
            (void)error_set(&err, ERROR_MISSING, 0, "there is no language \"%s\"", invocation->operands[i]);
            return command_failed(&err);
        }
    for (int i = 0; i < invocation->operands_len; i++)
        well &= prepare_and_tell(config, languages_find(languages, text_of(invocation->operands[i])), again);
    for (size_t i = 0; invocation->operands_len == 0 && i < languages->len; i++)
        if (languages->list[i].available && languages->list[i].prepare_script.len > 0)
            well &= prepare_and_tell(config, &languages->list[i], again);
    return well ? EVALX_EXIT_OK : EVALX_EXIT_FAILURE;
}

static int run(const struct invocation *invocation)
{
    struct config config;
    struct languages languages;
    struct error err = { 0 };

    if (settings_load(invocation, &config, &err) < 0)
        return command_failed(&err);
    if (geteuid() != 0) {
        (void)error_set(&err, ERROR_SETUP, 0, "what boxes see must be root's: use sudo");
        return command_failed(&err);
    }
    if (settings_languages(&config, &languages, &err) < 0)
        return command_failed(&err);
    int status = prepare(invocation, &config, &languages);
    languages_done(&languages);
    return status;
}

const struct subcommand prepare_command = {
    .name = "prepare",
    .operands = "[LANGUAGE...]",
    .summary = "what makes compilers start faster, made ahead (root)",
    .details =
        "\nRuns the [prepare] script of each language that has one (or of those named) in the sandbox and keeps\n"
        "what it makes below the images folder.  What is prepared and up to date is left as it is.  Servers and\n"
        "workers use it from their next start; without it all works, only slower.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .operands_max = -1,
    .run = run,
};
