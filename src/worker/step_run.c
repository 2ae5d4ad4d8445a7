/* step_run: see the header. */
#include "worker/step_run.h"

#include <assert.h>
#include <string.h>

#include "model/judge.h"
#include "worker/cache_key.h"
#include "worker/result_cache.h"
#include "worker/step_command.h"

#define PRESTART_SOURCE_BYTES_MAX (60u << 10) /* a pipe holds 64 KiB: the source must fit in one write */

static int run_or_find(struct sandbox_slot *slot, struct result_cache *results, const struct submission *submission,
                       const struct program *program, const struct run_request *request, struct arena *arena,
                       struct run_outcome *ret, bool *ret_found, struct error *err)
{
    char key[HASH_HEX_BYTES];

    *ret_found = false;
    if (results == NULL)
        return sandbox_run(slot, request, ret, err);
    if (cache_key_result(submission, program, request, arena, key, err) < 0)
        return -1;
    *ret_found = result_cache_get(results, key, ret);
    if (*ret_found)
        return 0;
    if (sandbox_run(slot, request, ret, err) < 0)
        return -1;
    if (result_cache_may_keep(ret))
        result_cache_put(results, key, ret);
    return 0;
}

/* Explains a limit to people.  An exit code, a signal or wrong output needs no explanation. */
static struct text message_of(enum verdict verdict, const struct run_outcome *outcome)
{
    const struct run_stats *stats = &outcome->stats;
    switch (verdict) {
    case VERDICT_TIME_LIMIT:
        return stats->cpu_exceeded ? TEXT("the CPU time limit was reached") : TEXT("the wall time limit was reached");
    case VERDICT_MEMORY_LIMIT:
        return TEXT("the memory limit was reached");
    case VERDICT_OUTPUT_LIMIT:
        return TEXT("the output limit was reached; what came after it was cut");
    case VERDICT_DENIED_SYSCALL:
        return buf_text(&outcome->explanation);
    case VERDICT_CANCELLED:
        return TEXT("the submission was cancelled");
    case VERDICT_RUNTIME_ERROR:
        if (stats->processes_denied > 0)
            return TEXT("the limit of processes was reached");
        return buf_text(&outcome->explanation);
    case VERDICT_ACCEPTED:
    case VERDICT_WRONG_ANSWER:
    case VERDICT_COMPILE_ERROR:
    case VERDICT_INTERNAL_ERROR:
    case VERDICT_COUNT_:
        break;
    }
    return (struct text){ 0 };
}

/* The fields that every result has, whether its program compiled or not. */
static struct result new_result(const struct submission *submission, const struct test *test,
                                const struct compiled *compiled)
{
    const struct program *program = &submission->programs[test->program];

    return (struct result){
        .element = test->element,
        .index = test->index,
        .compile_us = compiled->cached ? 0 : compiled->compile_us,
        .compile_cached = compiled->cached,
        .language = program->language->id,
        .version = program->language->version,
        .wants_base64 = test->wants_base64,
    };
}

/*
 * The name of the source file if an interpreter started before the request can read it, else NULL.  A prestarted
 * interpreter gets its source through a pipe, so the program must be one small file.
 */
static const char *prestart_source(const struct program *program)
{
    const struct language *language = program->language;
    const struct file *file = &program->files[0];

    if (!language->prestart || program->files_len != 1 || file->content.len > PRESTART_SOURCE_BYTES_MAX ||
        memchr(file->name.at, '/', file->name.len) != NULL)
        return NULL;
    for (size_t i = 0; i < language->cold_if_len; i++)
        if (memmem(file->content.at, file->content.len, language->cold_if[i].at, language->cold_if[i].len) != NULL)
            return NULL;
    return file->name.at;
}

int step_run(struct sandbox_slot *slot, struct result_cache *results, const struct submission *submission,
             const struct test *test, const struct compiled *compiled, struct run_outcome *ret_outcome,
             struct result *ret, struct error *err)
{
    const struct program *program = &submission->programs[test->program];
    const struct language *language = program->language;
    auto_arena struct arena arena;
    struct step_command command;
    bool found = false;

    assert(compiled->ok && compiled->archive_fd >= 0);
    arena_init(&arena, STEP_COMMAND_BYTES_MAX);
    if (step_command_run(program, test, &arena, &command, err) < 0)
        return -1;
    struct run_request request = {
        .image = language->image.at,
        .class = language->class,
        .argv = command.argv,
        .env = command.env,
        .limits = test->limits,
        .network = test->network,
        .input = test->input,
        .archive_fd = compiled->archive_fd,
        .prestart_source = prestart_source(program),
    };
    if (run_or_find(slot, results, submission, program, &request, &arena, ret_outcome, &found, err) < 0)
        return -1;

    *ret = new_result(submission, test, compiled);
    ret->cached = found;
    ret->stats = ret_outcome->stats;
    ret->output = buf_text(&ret_outcome->output);
    ret->errors = buf_text(&ret_outcome->errors);
    ret->output_cut = ret_outcome->output_cut;
    ret->errors_cut = ret_outcome->errors_cut;
    ret->compile_output = buf_text(&compiled->output);
    ret->verdict = judge_run(&ret->stats, ret->output, test->has_expected ? &test->expected : NULL);
    ret->verdict = judge_heap(ret->verdict, ret->errors, language->heap_full);
    ret->verdict = judge_syntax(ret->verdict, &ret->stats, ret->output, ret->errors,
                                &(struct syntax_errors){ .patterns = language->syntax_error,
                                                         .len = language->syntax_error_len,
                                                         .source = language->source_file });
    if (ret->verdict == VERDICT_COMPILE_ERROR)
        ret->compile_output = ret->errors;
    ret->message = message_of(ret->verdict, ret_outcome);
    return 0;
}

void step_run_skipped(const struct submission *submission, const struct test *test, const struct compiled *compiled,
                      struct result *ret)
{
    assert(!compiled->ok);
    *ret = new_result(submission, test, compiled);
    ret->verdict = compiled->verdict;
    ret->stats = compiled->stats;
    ret->errors = ret->compile_output = buf_text(&compiled->output);
    ret->errors_cut = compiled->output_cut;
    ret->message = text_of(compiled->message);
    /* Clients that do not know verdicts take an empty stderr and exit code 0 as passed. */
    if (ret->errors.len == 0)
        ret->errors = ret->message;
    if (ret->stats.exit_code == 0 && ret->stats.signal == 0)
        ret->stats.exit_code = 1;
}
