/* proof: see the header. */
#include "cli/proof.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "config/ini_file.h"
#include "job/request_json.h"

#define FIELD_BYTES_MAX (64u << 10)
#define QUOTED 200 /* bytes of a program's output that a failure quotes */
#define TIMED_RUNS 7
#define PAUSE_US 200000u

static const struct {
    const char *name;
    bool is_block;
} fields[] = {
    [PROOF_CODE] = { "code", true },           [PROOF_STDIN] = { "stdin", true },
    [PROOF_STDOUT] = { "stdout", true },       [PROOF_STDERR] = { "stderr", false },
    [PROOF_ARGS] = { "args", true },           [PROOF_FILE] = { "file", false },
    [PROOF_FILE_CODE] = { "file_code", true }, [PROOF_VERDICT] = { "verdict", false },
    [PROOF_EXIT] = { "exit", false },          [PROOF_MEMORY] = { "memory", false },
    [PROOF_TIMEOUT] = { "timeout", false },
};
static_assert(sizeof fields / sizeof *fields == PROOF_FIELD_COUNT_, "every field has a name");

static struct proof *add_proof(struct proofs *proofs, const char *name, struct error *err)
{
    if (proofs->len == PROOF_CASES_MAX) {
        (void)error_set(err, ERROR_SETUP, 0, "more than %d sections", PROOF_CASES_MAX - 1);
        return NULL;
    }
    struct proof *proof = &proofs->list[proofs->len];
    if (snprintf(proof->name, sizeof proof->name, "%s", name) >= (int)sizeof proof->name || name[0] == '\0') {
        (void)error_set(err, ERROR_SETUP, 0, "expected a section with a name of at most %zu bytes",
                        sizeof proof->name - 1);
        return NULL;
    }
    for (size_t i = 0; i < PROOF_FIELD_COUNT_; i++)
        buf_init(&proof->fields[i], FIELD_BYTES_MAX);
    proofs->len++;
    return proof;
}

static int add_line(struct proof *proof, enum proof_field field, const char *line, struct error *err)
{
    struct buf *buf = &proof->fields[field];

    if (!fields[field].is_block)
        return buf_append_text(buf, text_of(line), err);
    return buf_printf(buf, err, "%s\n", line[0] == '|' ? line + 1 : line);
}

static int take_entry(void *context, const struct ini_entry *entry, struct error *err)
{
    struct proofs *proofs = context;
    struct proof *proof = proofs->len > 0 ? &proofs->list[proofs->len - 1] : NULL;
    enum proof_field field = 0;

    if (proof == NULL || strcmp(proof->name, entry->section) != 0) {
        for (size_t i = 0; i < proofs->len; i++)
            if (strcmp(proofs->list[i].name, entry->section) == 0)
                return error_set(err, ERROR_SETUP, 0, "section [%s] is there twice", entry->section);
        proof = add_proof(proofs, entry->section, err);
    }
    if (proof == NULL)
        return -1;
    while (field < PROOF_FIELD_COUNT_ && strcmp(fields[field].name, entry->key) != 0)
        field++;
    if (field == PROOF_FIELD_COUNT_)
        return error_set(err, ERROR_SETUP, 0, "there is no key \"%.40s\"", entry->key);
    if (proof->has[field] && !entry->continues)
        return error_set(err, ERROR_SETUP, 0, "%s is there twice", entry->key);
    if (entry->continues && !fields[field].is_block)
        return error_set(err, ERROR_SETUP, 0, "%s: expected one line", entry->key);
    proof->has[field] = true;
    /* "code =" alone on its line: the block begins on the next. */
    if (!entry->continues && entry->value[0] == '\0')
        return 0;
    return add_line(proof, field, entry->value, err);
}

static int add_hello(const struct language *language, struct proofs *proofs, struct error *err)
{
    struct proof *hello = add_proof(proofs, "hello", err);
    const struct text texts[] = { [PROOF_CODE] = language->hello_code,
                                  [PROOF_STDIN] = language->hello_stdin,
                                  [PROOF_STDOUT] = language->hello_stdout };

    if (hello == NULL)
        return -1;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hello->has[i] = true;
        if (buf_append_text(&hello->fields[i], texts[i], err) < 0)
            return -1;
    }
    return 0;
}

static int read_sections(const struct config *config, const struct language *language, struct proofs *proofs,
                         struct error *err)
{
    const struct text names[] = { language->id, language->of };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        if (names[i].len == 0 || snprintf(path, sizeof path, "%s/tests/%.*s.conf", config->languages,
                                          TEXT_ARG(names[i])) >= (int)sizeof path)
            continue;
        if (access(path, F_OK) == 0)
            return ini_file_read(path, take_entry, proofs, err);
    }
    return 0;
}

int proofs_read(const struct config *config, const struct language *language, struct proofs *ret, struct error *err)
{
    struct proofs proofs = { .list = calloc(PROOF_CASES_MAX, sizeof *proofs.list) };

    if (proofs.list == NULL)
        return error_set(err, ERROR_BUSY, errno, "read the tests of %s", language->id.at);
    if (add_hello(language, &proofs, err) < 0 || read_sections(config, language, &proofs, err) < 0) {
        proofs_done(&proofs);
        return -1;
    }
    *ret = proofs;
    return 0;
}

void proofs_done(struct proofs *proofs)
{
    for (size_t i = 0; i < proofs->len; i++)
        for (size_t k = 0; k < PROOF_FIELD_COUNT_; k++)
            buf_done(&proofs->list[i].fields[k]);
    free(proofs->list);
    *proofs = (struct proofs){ 0 };
}

static const char *text_or(const struct proof *proof, enum proof_field field, const char *otherwise)
{
    return proof->has[field] && proof->fields[field].len > 0 ? proof->fields[field].at : otherwise;
}

static json_t *args_of(const struct proof *proof)
{
    json_t *args = json_array();

    for (const char *at = text_or(proof, PROOF_ARGS, ""); *at != '\0';) {
        size_t len = strcspn(at, "\n");
        (void)json_array_append_new(args, json_stringn(at, len));
        at += len + (at[len] == '\n');
    }
    return args;
}

/* The request a client would send. */
static json_t *request_of(const struct language *language, const struct proof *proof)
{
    json_t *request = json_pack("{s:s%, s:s%, s:s, s:s, s:o}", "language", language->id.at, language->id.len, "version",
                                language->version.at, language->version.len, "code", text_or(proof, PROOF_CODE, " "),
                                "stdin", text_or(proof, PROOF_STDIN, ""), "args", args_of(proof));

    if (request == NULL)
        return NULL;
    if (proof->has[PROOF_STDOUT])
        (void)json_object_set_new(request, "expected_output", json_string(text_or(proof, PROOF_STDOUT, "")));
    if (proof->has[PROOF_FILE])
        (void)json_object_set_new(request, "files",
                                  json_pack("[{s:s, s:s}]", "name", text_or(proof, PROOF_FILE, ""), "content",
                                            text_or(proof, PROOF_FILE_CODE, "")));
    if (proof->has[PROOF_MEMORY])
        (void)json_object_set_new(request, "memory_limit", json_string(text_or(proof, PROOF_MEMORY, "")));
    if (proof->has[PROOF_TIMEOUT])
        (void)json_object_set_new(request, "timeout", json_real(strtod(text_or(proof, PROOF_TIMEOUT, "0"), NULL)));
    return request;
}

static int quoted_len(struct text text)
{
    return (int)(text.len < QUOTED ? text.len : QUOTED);
}

static bool contains(struct text text, const char *part)
{
    return text.len > 0 && memmem(text.at, text.len, part, strlen(part)) != NULL;
}

static int compare(const struct proof *proof, const struct result *what, struct error *err)
{
    const char *verdict = text_or(proof, PROOF_VERDICT, "accepted");
    const char *part = text_or(proof, PROOF_STDERR, "");
    int code = result_exit_code(what);

    if (strcmp(verdict_name(what->verdict), verdict) != 0)
        return error_set(err, ERROR_SANDBOX, 0, "%s: expected %s, got %s (%.*s) %.*s%s%.*s", proof->name, verdict,
                         verdict_name(what->verdict), TEXT_ARG(what->message), quoted_len(what->errors),
                         what->errors.at != NULL ? what->errors.at : "",
                         what->verdict == VERDICT_WRONG_ANSWER ? " stdout: " : "",
                         what->verdict == VERDICT_WRONG_ANSWER ? quoted_len(what->output) : 0,
                         what->output.at != NULL ? what->output.at : "");
    if (!contains(what->errors, part) && part[0] != '\0')
        return error_set(err, ERROR_SANDBOX, 0, "%s: stderr has no \"%.60s\": %.*s", proof->name, part,
                         quoted_len(what->errors), what->errors.at != NULL ? what->errors.at : "");
    if (proof->has[PROOF_EXIT] && code != (int)strtol(text_or(proof, PROOF_EXIT, "0"), NULL, 10))
        return error_set(err, ERROR_SANDBOX, 0, "%s: expected exit status %s, got %d", proof->name,
                         text_or(proof, PROOF_EXIT, "0"), code);
    return 0;
}

/* What the server would make of the request; the caller's. */
static int submission_of(const struct config *config, const struct languages *languages,
                         const struct language *language, const struct proof *proof, struct submission *ret,
                         struct error *err)
{
    json_t *request = request_of(language, proof);
    char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);

    json_decref(request);
    if (text == NULL)
        return error_set(err, ERROR_SETUP, 0, "%s: it is no UTF-8 text", proof->name);
    int outcome = request_decode(text_of(text), REQUEST_SINGLE, languages, config, ret, err);
    free(text);
    return outcome < 0 ? error_within(err, "%s", proof->name) : 0;
}

int proof_run(struct local *local, const struct config *config, const struct languages *languages,
              const struct language *language, const struct proof *proof, struct proof_facts *ret, struct error *err)
{
    struct submission submission;
    struct local_result result;

    *ret = (struct proof_facts){ 0 };
    if (submission_of(config, languages, language, proof, &submission, err) < 0)
        return -1;
    int outcome = local_run(local, &submission, &result, err);
    if (outcome == 0) {
        outcome = compare(proof, &result.result, err);
        if (result.has_outcome)
            *ret = (struct proof_facts){ .compile_us = result.result.compile_us,
                                         .wall_us = result.result.facts.wall_us,
                                         .memory_bytes = result.result.facts.memory_bytes };
        local_result_done(&result);
    }
    submission_done(&submission);
    return outcome;
}

static int compare_times(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return (one > other) - (one < other);
}

static int take_times(struct local *local, const struct submission *submission, const struct local_result *first,
                      uint64_t times[static TIMED_RUNS], struct error *err)
{
    uint64_t pause_us = PAUSE_US;

    for (size_t i = 0; i < TIMED_RUNS; i++) {
        enum verdict verdict;
        (void)usleep((useconds_t)pause_us);
        if (local_again(local, submission, first, &times[i], &verdict, err) < 0)
            return -1;
        if (verdict != VERDICT_ACCEPTED)
            return error_set(err, ERROR_SANDBOX, 0, "hello: the same run again ended as %s", verdict_name(verdict));
        pause_us = times[i] > PAUSE_US ? times[i] : PAUSE_US;
    }
    qsort(times, TIMED_RUNS, sizeof times[0], compare_times);
    return 0;
}

/* Halves the span in which the smallest limit lies, from the language's own limit on, which is enough. */
static uint64_t find_smallest(struct local *local, struct submission *submission, const struct local_result *first)
{
    uint64_t *limit = &submission->tests[0].limits.memory_bytes, enough = *limit >> 20, too_little = 0;

    while (too_little + 1 < enough) {
        uint64_t tried = (too_little + enough) / 2, took_us;
        enum verdict verdict;
        struct error err;
        *limit = tried << 20;
        if (local_again(local, submission, first, &took_us, &verdict, &err) == 0 && verdict == VERDICT_ACCEPTED)
            enough = tried;
        else
            too_little = tried;
    }
    return enough << 20;
}

int proof_measure(struct local *local, const struct config *config, const struct languages *languages,
                  const struct language *language, const struct proof *hello, struct proof_measures *ret,
                  struct error *err)
{
    struct submission submission;
    struct local_result first;
    uint64_t times[TIMED_RUNS];

    if (submission_of(config, languages, language, hello, &submission, err) < 0)
        return -1;
    int outcome = local_run(local, &submission, &first, err);
    if (outcome == 0) {
        outcome = compare(hello, &first.result, err);
        if (outcome == 0)
            outcome = take_times(local, &submission, &first, times, err);
        if (outcome == 0)
            *ret = (struct proof_measures){ .hello_us = times[TIMED_RUNS / 2],
                                            .smallest_bytes = find_smallest(local, &submission, &first) };
        local_result_done(&first);
    }
    submission_done(&submission);
    return outcome;
}
