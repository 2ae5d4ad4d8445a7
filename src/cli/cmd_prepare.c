/*
 * evalx prepare: creates files that make compilers and runtimes start faster (sandbox/prepared.h).
 *
 * This process stays root and writes the files.  A child drops root, runs the language's script in the sandbox like any
 * program, and returns the content of the box as one descriptor.  It is untrusted, so it is unpacked like sources
 * (sandbox/archive.h), into a new folder that is renamed once it is complete.
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
#include "cli/language_test.h"
#include "cli/local_run.h"
#include "cli/prepared_folder.h"
#include "cli/settings.h"
#include "model/judge.h"
#include "sandbox/prepared.h"

enum { OPTION_AGAIN };

static const struct option_spec options[] = {
    [OPTION_AGAIN] = { "again", OPTION_ALONE, NULL, "also prepare languages that are up to date" },
};

/* The message of the child; the archive comes with it on success. */
struct report {
    struct error err;
    char output[512]; /* the end of the script's stderr, or of its stdout if stderr is empty */
};

static void keep_output(const struct run_outcome *outcome, struct report *report)
{
    struct text text = buf_text(outcome->errors.len > 0 ? &outcome->errors : &outcome->output);
    size_t len = text.len < sizeof report->output ? text.len : sizeof report->output - 1;

    if (len > 0)
        memcpy(report->output, text.at + text.len - len, len);
    report->output[len] = '\0';
}

/* Runs the script in an open slot.  *ret_archive is what it left in the box. */
static int run_script(struct sandbox_slot *slot, const struct language *language, int *ret_archive,
                      struct report *report)
{
    struct arena arena;
    struct run_outcome outcome;
    const char *const shell[] = { "/bin/sh", "-euc", language->prepare_script.at, "prepare" };
    const size_t shell_len = sizeof shell / sizeof *shell;
    const struct command_values values = {
        .source = language->source_file,
        .binary = language->binary_file,
        .memory_bytes = language->prepare_limits.memory_bytes,
        .stack_bytes = language->prepare_limits.stack_bytes,
        .heap = language->heap,
    };
    struct text *lines;
    char **env, **words;
    struct error *err = &report->err;

    arena_init(&arena, 64 << 10);
    lines = arena_alloc_array(&arena, language->env_len + 1, sizeof *lines, err);
    words = arena_alloc_array(&arena, shell_len + language->compile.words_len + 1, sizeof *words, err);
    if (lines == NULL || words == NULL)
        return -1;
    memcpy(words, shell, sizeof shell);
    for (size_t i = 0; i < language->compile.words_len; i++)
        words[shell_len + i] = (char *)(uintptr_t)language->compile.words[i].at;
    size_t lines_len = language->env_len;
    for (size_t i = 0; i < lines_len; i++)
        lines[i] = language->env[i];
    if (language->prepare_env != NULL) /* the script reads a setting */
        lines[lines_len++] = text_of(language->prepare_env);
    if (command_expand_env(lines, lines_len, &values, &arena, &env, err) < 0)
        return -1;
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
    keep_output(&outcome, report);
    if (verdict != VERDICT_ACCEPTED)
        result = error_set(err, ERROR_SANDBOX, 0, "the verdict of its script is %s (exit code %d)",
                           verdict_name(verdict), outcome.stats.exit_code);
    else if (outcome.archive_fd < 0)
        result = error_set(err, ERROR_SANDBOX, 0, "the files of its script are too large: more than %" PRIu64 " MiB",
                           job.limits.disk_bytes >> 20);
    else
        *ret_archive = take_fd(&outcome.archive_fd);
    run_outcome_done(&outcome);
    return result;
}

static void be_script_child(const struct config *config, const struct language *language, int answer)
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
}

/* Runs the hello test with the new files, as `languages verify` does: it must pass and print nothing else. */
static void be_hello_child(const struct config *config, const struct language *installed, int answer)
{
    struct language language = *installed;
    struct languages only = { .list = &language, .len = 1 };
    struct report report = { 0 };
    struct language_tests tests;
    struct language_test_stats stats;
    struct local_run local_run;
    struct layers layers;
    struct arena arena;

    arena_init(&arena, 64 << 10);
    language.prepared = (struct text){ 0 };
    if (image_layers_open(config->images, language.image.at, &layers, &report.err) == 0) {
        prepared_find(&language, &layers, config->images, &arena);
        image_layers_close(&layers);
    }
    if (report.err.kind == ERROR_NONE && language_tests_read(config, &language, &tests, &report.err) == 0 &&
        local_run_open(config, &only, &local_run, &report.err) == 0) {
        (void)language_test_run(&local_run, config, &language, &tests.list[0], &stats, &report.err);
        local_run_close(&local_run);
    }
    (void)packet_send(answer, &report, sizeof report, NULL, 0);
}

typedef void child_main(const struct config *config, const struct language *language, int answer);

/* Runs `child` in a process of its own, because it drops root.  The caller owns *ret_archive, which may be -1. */
static int run_in_child(child_main *child, const struct config *config, const struct language *language,
                        struct report *report, int *ret_archive, struct error *err)
{
    int pair[2];
    size_t fds = 0;

    *ret_archive = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "socketpair");
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        child(config, language, pair[1]);
        exit(0);
    }
    (void)close(pair[1]);
    auto_close int answer = pair[0];
    if (pid < 0)
        return error_set(err, ERROR_SANDBOX, errno, "fork");
    int got = packet_receive(answer, report, sizeof *report, ret_archive, 1, &fds, 0);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    report->output[sizeof report->output - 1] = report->err.text[sizeof report->err.text - 1] = '\0';
    if (got != 1)
        return error_set(err, ERROR_SANDBOX, got < 0 ? errno : 0, "the sandbox process ended without a result");
    return 0;
}

static int check_hello(const struct config *config, const struct language *language, struct error *err)
{
    struct report report = { 0 };
    int none;

    if (run_in_child(be_hello_child, config, language, &report, &none, err) < 0)
        return -1;
    if (report.err.kind == ERROR_NONE)
        return 0;
    *err = report.err;
    return error_within(err, "its files are discarded, because the hello test fails with them");
}

/* Runs the script.  The caller owns *ret_archive. */
static int make_archive(const struct config *config, const struct language *language, int *ret_archive,
                        struct report *report, struct error *err)
{
    if (run_in_child(be_script_child, config, language, report, ret_archive, err) < 0)
        return -1;
    if (*ret_archive < 0) {
        *err = report->err;
        return -1;
    }
    return 0;
}

/* Of a successful script only lines marked as notes are shown.  Others are noise, such as warnings of the JVM. */
static void print_notes(const char *output)
{
    while (*output != '\0') {
        size_t len = strcspn(output, "\n");
        if (strncmp(output, "note: ", 6) == 0)
            (void)printf("%-14s %.*s\n", "", (int)len, output);
        output += len + (output[len] == '\n' ? 1 : 0);
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
    (void)fflush(stdout); /* before a minute of work */
    if (make_archive(config, language, &archive, report, err) < 0 ||
        prepared_folder_put(folder, name, archive, &bytes, err) < 0)
        return -1;
    if (language->hello_code.len > 0 && check_hello(config, language, err) < 0) {
        prepared_folder_remove(folder, name);
        return -1;
    }
    prepared_folder_remove_old(folder, language->id, name);
    (void)printf("prepared after %.1f s: %.1f MB\n", (double)(clock_mono_us() - begin_us) / 1e6, (double)bytes / 1e6);
    print_notes(report->output);
    return 0;
}

/* false if it failed. */
static bool prepare_and_report(const struct config *config, const struct language *language, bool again)
{
    struct report report = { 0 };
    struct error err = { 0 };

    if (!language->available)
        (void)printf("%-14s is not installed\n", language->id.at);
    else if (language->prepare_script.len == 0)
        (void)printf("%-14s has nothing to prepare\n", language->id.at);
    else if (prepare_one(config, language, again, &report, &err) < 0) {
        (void)printf("FAILS: %s\n%s%s", err.text, report.output,
                     report.output[0] != '\0' && report.output[strlen(report.output) - 1] != '\n' ? "\n" : "");
        return false;
    }
    (void)fflush(stdout);
    return true;
}

/* The named languages, or all that have a script. */
static int prepare(const struct invocation *invocation, const struct config *config, const struct languages *languages)
{
    bool again = invocation_has(invocation, OPTION_AGAIN), ok = true;
    struct error err = { 0 };

    for (int i = 0; i < invocation->operands_len; i++)
        if (languages_find(languages, text_of(invocation->operands[i])) == NULL) {
            (void)error_set(&err, ERROR_USAGE, 0, "unknown language \"%s\"", invocation->operands[i]);
            return command_failed(&err);
        }
    for (int i = 0; i < invocation->operands_len; i++)
        ok &= prepare_and_report(config, languages_find(languages, text_of(invocation->operands[i])), again);
    for (size_t i = 0; invocation->operands_len == 0 && i < languages->len; i++)
        if (languages->list[i].available && languages->list[i].prepare_script.len > 0)
            ok &= prepare_and_report(config, &languages->list[i], again);
    return ok ? EVALX_EXIT_OK : EVALX_EXIT_FAILURE;
}

static int run(const struct invocation *invocation)
{
    struct config config;
    struct languages languages;
    struct error err = { 0 };

    if (settings_load(invocation, &config, &err) < 0)
        return command_failed(&err);
    if (geteuid() != 0) {
        (void)error_set(&err, ERROR_SETUP, 0, "prepared files must be owned by root: use sudo");
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
    .summary = "create files that make compilers start faster (root)",
    .details =
        "\nRuns the [prepare] script of each language that has one, or of the named languages, in the sandbox and "
        "keeps\n"
        "the files it creates below the images folder.  Languages that are up to date are skipped.  Servers and\n"
        "workers use the files from their next start.  Everything works without them, only slower.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .operands_max = -1,
    .run = run,
};
