/*
 * runner: puts together what a step needs (bundle, argv, env, limits), gives it to a box, and turns the
 * kernel's facts into what the submission's client reads.
 */
#include "worker/runner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "model/judge.h"
#include "sandbox/prepared.h"
#include "sandbox/archive.h"
#include "worker/artifact_cache.h"
#include "worker/result_cache.h"

#define ARGUMENTS_BYTES_MAX (256u << 10) /* argv and env of one step */
#define KEY_VERSION "evalx artifact 1"   /* changes when artifacts of an older evalx must not be used */
#define RESULT_VERSION "evalx result 1"

#define PRESTART_SOURCE_BYTES_MAX (60u << 10)

static_assert(RUNNER_COMPILE_TEXT_MAX == ARTIFACT_OUTPUT_BYTES_MAX,
              "a compiler's text is kept whole with its artifact");

void compiled_init(struct compiled *compiled)
{
    *compiled = (struct compiled){ .archive_fd = -1, .verdict = VERDICT_INTERNAL_ERROR };
    buf_init(&compiled->output, RUNNER_COMPILE_TEXT_MAX);
}

void compiled_done(struct compiled *compiled)
{
    cleanup_close(&compiled->archive_fd);
    compiled->archive_fd = -1;
    buf_done(&compiled->output);
}

/* The language's environment as execve takes it. */
static int environment_of(const struct language *language, struct arena *arena, char ***ret_env, struct error *err)
{
    char **env = arena_alloc_array(arena, language->env_len + 1, sizeof *env, err);

    if (env == NULL)
        return -1;
    for (size_t i = 0; i < language->env_len; i++) {
        struct text copy;
        if (arena_copy(arena, language->env[i], &copy, err) < 0)
            return -1;
        env[i] = (char *)copy.at; /* the arena's own bytes, which execve does not change */
    }
    *ret_env = env;
    return 0;
}

/* argv and env of one of the language's commands for this program. */
static int expand(const struct program *program, const struct command *command, uint64_t memory_bytes,
                  const struct test *test, struct arena *arena, char ***ret_argv, char ***ret_env, struct error *err)
{
    size_t others_len = program->files_len - 1;
    struct text *others = arena_alloc_array(arena, others_len + 1, sizeof *others, err);

    if (others == NULL)
        return -1;
    for (size_t i = 0; i < others_len; i++)
        others[i] = program->files[i + 1].name;
    struct command_values values = {
        .source = program->files[0].name,
        .binary = program->language->binary_file,
        .prepared = prepared_now(program->language),
        .memory_bytes = memory_bytes,
        .args = test == NULL ? NULL : test->args,
        .args_len = test == NULL ? 0 : test->args_len,
        .files = others,
        .files_len = others_len,
    };
    if (command_expand(command, &values, arena, ret_argv, err) < 0)
        return -1;
    return environment_of(program->language, arena, ret_env, err);
}

/*
 * All that goes into an artifact.  On the image "host" the compiler changes when the operator upgrades packages, while
 * the language file's version stays "12": so the file of the compiler itself (size, time, inode) is part of the key.
 * Other images are never changed in place; they are replaced under another name.
 */
static void add_program(struct hash *hash, const struct program *program, char *const *argv)
{
    const struct language *language = program->language;
    struct stat compiler;

    hash_add(hash, language->id);
    hash_add(hash, language->version);
    hash_add(hash, language->image);
    if (text_equal(language->image, TEXT("host")) && stat(argv[0], &compiler) == 0) {
        hash_add_u64(hash, (uint64_t)compiler.st_ino);
        hash_add_u64(hash, (uint64_t)compiler.st_size);
        hash_add_u64(hash, (uint64_t)compiler.st_mtim.tv_sec);
    }
    for (char *const *word = argv; *word != NULL; word++)
        hash_add(hash, text_of(*word));
    hash_add_u64(hash, language->env_len);
    for (size_t i = 0; i < language->env_len; i++)
        hash_add(hash, language->env[i]);
    hash_add_u64(hash, program->files_len);
    for (size_t i = 0; i < program->files_len; i++) {
        hash_add(hash, program->files[i].name);
        hash_add(hash, program->files[i].content);
    }
}

static void key_of(const struct program *program, char *const *argv, char ret_key[HASH_HEX_BYTES])
{
    struct hash hash;

    hash_start(&hash);
    hash_add(&hash, TEXT(KEY_VERSION));
    add_program(&hash, program, argv);
    hash_finish(&hash, ret_key);
}

/* All that goes into a run: how its program was compiled, and the job itself. */
static int result_key(const struct program *program, const struct run_request *job, struct arena *arena,
                      char ret_key[HASH_HEX_BYTES], struct error *err)
{
    const struct language *language = program->language;
    char compile_key[HASH_HEX_BYTES] = "";
    char **argv = NULL, **env = NULL;
    struct hash hash;

    if (language->compile.words_len > 0) {
        if (expand(program, &language->compile, language->compile_limits.memory_bytes, NULL, arena, &argv, &env, err) <
            0)
            return -1;
        key_of(program, argv, compile_key);
    }
    hash_start(&hash);
    hash_add(&hash, TEXT(RESULT_VERSION));
    hash_add(&hash, text_of(compile_key));
    add_program(&hash, program, job->argv);
    hash_add_u64(&hash, job->class);
    const uint64_t limits[] = { job->limits.cpu_us,       job->limits.wall_us,    job->limits.memory_bytes,
                                job->limits.stack_bytes,  job->limits.file_bytes, job->limits.disk_bytes,
                                job->limits.output_bytes, job->limits.processes,  job->limits.open_files };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        hash_add_u64(&hash, limits[i]);
    hash_add(&hash, job->input);
    hash_finish(&hash, ret_key);
    return 0;
}

/* Runs the job, or finds what it gave before. */
static int run_or_find(struct sandbox_slot *slot, struct result_cache *results, const struct program *program,
                       const struct run_request *job, struct arena *arena, struct run_outcome *ret, bool *ret_found,
                       struct error *err)
{
    char key[HASH_HEX_BYTES];

    *ret_found = false;
    if (results == NULL)
        return sandbox_run(slot, job, ret, err);
    if (result_key(program, job, arena, key, err) < 0)
        return -1;
    *ret_found = result_cache_get(results, key, ret);
    if (*ret_found)
        return 0;
    if (sandbox_run(slot, job, ret, err) < 0)
        return -1;
    if (result_cache_may_keep(ret))
        result_cache_put(results, key, ret);
    return 0;
}

/* What the compiler printed: errors first, because that is what its reader looks for; cut at the maximum. */
static void take_compiler_text(struct compiled *compiled, const struct run_outcome *outcome)
{
    struct text parts[] = { buf_text(&outcome->errors), buf_text(&outcome->output) };
    struct error ignored; /* the lengths were cut to fit: only memory can be short, and then the text is left out */

    compiled->output_cut = outcome->errors_cut || outcome->output_cut;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t room = RUNNER_COMPILE_TEXT_MAX - compiled->output.len;
        if (parts[i].len > room) {
            parts[i].len = room;
            compiled->output_cut = true;
        }
        if (parts[i].len > 0)
            (void)buf_append_text(&compiled->output, parts[i], &ignored);
    }
}

static double seconds(uint64_t microseconds)
{
    return (double)microseconds / 1e6;
}

/* A compiler that did not end well: says why where its own text cannot. */
static void explain_failure(struct compiled *compiled, enum verdict cause, const struct limits *limits)
{
    char *message = compiled->message;
    size_t size = sizeof compiled->message;

    compiled->verdict = VERDICT_COMPILE_ERROR;
    switch (cause) {
    case VERDICT_TIME_LIMIT:
        if (compiled->stats.cpu_exceeded)
            (void)snprintf(message, size, "compilation used more than its %g s of CPU time", seconds(limits->cpu_us));
        else
            (void)snprintf(message, size, "compilation took longer than %g s", seconds(limits->wall_us));
        break;
    case VERDICT_MEMORY_LIMIT:
        (void)snprintf(message, size, "compilation needed more memory than its %" PRIu64 " MiB",
                       limits->memory_bytes >> 20);
        break;
    case VERDICT_OUTPUT_LIMIT:
        (void)snprintf(message, size, "the compiler printed more than its %" PRIu64 " bytes", limits->output_bytes);
        break;
    case VERDICT_DENIED_SYSCALL:
        (void)snprintf(message, size, "the compiler made a system call that programs may not make");
        break;
    case VERDICT_CANCELLED:
        compiled->verdict = VERDICT_CANCELLED;
        break;
    case VERDICT_ACCEPTED:
    case VERDICT_WRONG_ANSWER:
    case VERDICT_COMPILE_ERROR:
    case VERDICT_RUNTIME_ERROR:
    case VERDICT_INTERNAL_ERROR:
    case VERDICT_COUNT_:
        if (compiled->stats.signal != 0)
            (void)snprintf(message, size, "the compiler was ended by signal %d", compiled->stats.signal);
        else if (compiled->output.len == 0)
            (void)snprintf(message, size, "the compiler ended with exit code %d", compiled->stats.exit_code);
        break;
    }
}

/* Nobody may change what later runs start from: sealed, or copied and then sealed. */
static int seal(int *archive_fd, struct error *err)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct stat status;
    int copy_fd = -1;

    if (fcntl(*archive_fd, F_ADD_SEALS, seals) == 0 || (fcntl(*archive_fd, F_GET_SEALS) & seals) == seals)
        return lseek(*archive_fd, 0, SEEK_SET) < 0 ? error_set(err, ERROR_SANDBOX, errno, "rewind bundle") : 0;
    if (fstat(*archive_fd, &status) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "look at bundle");
    if (artifact_memfd_copy(*archive_fd, 0, (uint64_t)status.st_size, &copy_fd, err) < 0) {
        err->kind = ERROR_SANDBOX;
        return -1;
    }
    cleanup_close(archive_fd);
    *archive_fd = copy_fd;
    return 0;
}

static int compile_in(struct sandbox_slot *slot, const struct program *program, char *const *argv, char *const *env,
                      struct compiled *ret, struct error *err)
{
    const struct language *language = program->language;
    auto_close int sources_fd = -1;
    struct run_outcome outcome;

    if (archive_of_files(program->files, program->files_len, &sources_fd, err) < 0)
        return -1;
    struct run_request job = {
        .image = language->image.at,
        .class = LANGUAGE_CLASS_COMPILER,
        .argv = argv,
        .env = env,
        .limits = language->compile_limits,
        .archive_fd = sources_fd,
        .keep_files = true,
    };
    if (sandbox_run(slot, &job, &outcome, err) < 0)
        return -1;

    enum verdict cause = judge_run(&outcome.stats, &job.limits, buf_text(&outcome.output), NULL);
    ret->stats = outcome.stats;
    ret->compile_us = outcome.stats.wall_us;
    take_compiler_text(ret, &outcome);
    if (cause == VERDICT_ACCEPTED && outcome.archive_fd < 0) { /* too much of it, which is the program's doing */
        ret->verdict = VERDICT_COMPILE_ERROR;
        (void)snprintf(ret->message, sizeof ret->message,
                       "what the compiler made cannot be kept: more than %d files or %" PRIu64
                       " MiB, or a name of more than %d bytes",
                       ARCHIVE_FILES_MAX, job.limits.disk_bytes >> 20, ARCHIVE_NAME_MAX);
        run_outcome_done(&outcome);
        return 0;
    }
    if (cause != VERDICT_ACCEPTED) {
        explain_failure(ret, cause, &job.limits);
        run_outcome_done(&outcome);
        return 0;
    }
    ret->archive_fd = take_fd(&outcome.archive_fd);
    run_outcome_done(&outcome);
    if (seal(&ret->archive_fd, err) < 0)
        return -1;
    ret->ok = true;
    ret->verdict = VERDICT_ACCEPTED;
    return 0;
}

static int compile_cached(struct sandbox_slot *slot, struct artifact_cache *cache, const struct program *program,
                          struct compiled *ret, struct error *err)
{
    char key[HASH_HEX_BYTES];
    struct artifact artifact;
    struct arena arena;
    char **argv = NULL, **env = NULL;
    int outcome = -1;

    arena_init(&arena, ARGUMENTS_BYTES_MAX);
    if (expand(program, &program->language->compile, program->language->compile_limits.memory_bytes, NULL, &arena,
               &argv, &env, err) < 0)
        goto done;
    key_of(program, argv, key);
    if (cache != NULL && artifact_cache_get(cache, key, &artifact)) {
        buf_done(&ret->output);
        ret->archive_fd = artifact.archive_fd;
        ret->output = artifact.output;
        ret->output_cut = artifact.output_cut;
        ret->ok = ret->cached = true;
        ret->verdict = VERDICT_ACCEPTED;
        outcome = 0;
        goto done;
    }
    outcome = compile_in(slot, program, argv, env, ret, err);
    if (cache != NULL && outcome == 0 && ret->ok)
        artifact_cache_put(cache, key, ret->archive_fd, buf_text(&ret->output), ret->output_cut);
    else if (cache != NULL)
        artifact_cache_abandon(cache, key);
done:
    arena_done(&arena);
    return outcome;
}

int runner_compile(struct sandbox_slot *slot, struct artifact_cache *cache, const struct program *program,
                   struct compiled *ret, struct error *err)
{
    struct compiled compiled;

    assert(program->files_len > 0);
    compiled_init(&compiled);
    if (program->language->compile.words_len > 0) {
        if (compile_cached(slot, cache, program, &compiled, err) < 0)
            goto undo;
    } else {
        if (archive_of_files(program->files, program->files_len, &compiled.archive_fd, err) < 0)
            goto undo;
        compiled.ok = true;
        compiled.verdict = VERDICT_ACCEPTED;
    }
    *ret = compiled;
    return 0;

undo:
    compiled_done(&compiled);
    return -1;
}

/* For people; what a program did by itself (exit code, signal, output) needs no words of ours. */
static struct text message_of(enum verdict verdict, const struct stats *stats)
{
    switch (verdict) {
    case VERDICT_TIME_LIMIT:
        return stats->cpu_exceeded ? TEXT("the CPU time limit was reached") : TEXT("the wall time limit was reached");
    case VERDICT_MEMORY_LIMIT:
        return TEXT("the memory limit was reached");
    case VERDICT_OUTPUT_LIMIT:
        return TEXT("the output limit was reached; what came after it was cut");
    case VERDICT_DENIED_SYSCALL:
        return TEXT("a system call that programs may not make");
    case VERDICT_CANCELLED:
        return TEXT("the submission was cancelled");
    case VERDICT_RUNTIME_ERROR:
        if (stats->processes_denied > 0)
            return TEXT("the limit of processes was reached");
        break;
    case VERDICT_ACCEPTED:
    case VERDICT_WRONG_ANSWER:
    case VERDICT_COMPILE_ERROR:
    case VERDICT_INTERNAL_ERROR:
    case VERDICT_COUNT_:
        break;
    }
    return (struct text){ 0 };
}

/* What every result says about its test and its program. */
static struct result result_of(const struct submission *submission, const struct test *test,
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

/* The source that an interpreter may wait for, or NULL: it must go through a pipe's buffer at once. */
static const char *prestart_source_of(const struct program *program)
{
    const struct language *language = program->language;
    const struct file *file = &program->files[0];
    if (!language->warm || program->files_len != 1 || file->content.len > PRESTART_SOURCE_BYTES_MAX ||
        memchr(file->name.at, '/', file->name.len) != NULL)
        return NULL;
    for (size_t i = 0; i < language->cold_if_len; i++)
        if (memmem(file->content.at, file->content.len, language->cold_if[i].at, language->cold_if[i].len) != NULL)
            return NULL;
    return file->name.at;
}

int runner_run(struct sandbox_slot *slot, struct result_cache *results, const struct submission *submission,
               const struct test *test, const struct compiled *compiled, struct run_outcome *ret_outcome,
               struct result *ret, struct error *err)
{
    const struct program *program = &submission->programs[test->program];
    const struct language *language = program->language;
    struct arena arena;
    char **argv = NULL, **env = NULL;
    bool found = false;
    int outcome = -1;

    assert(compiled->ok && compiled->archive_fd >= 0);
    arena_init(&arena, ARGUMENTS_BYTES_MAX);
    if (expand(program, &language->run, test->limits.memory_bytes, test, &arena, &argv, &env, err) < 0)
        goto done;
    struct run_request job = {
        .image = language->image.at,
        .class = language->class,
        .argv = argv,
        .env = env,
        .limits = test->limits,
        .input = test->input,
        .archive_fd = compiled->archive_fd,
        .prestart_source = prestart_source_of(program),
    };
    if (run_or_find(slot, results, program, &job, &arena, ret_outcome, &found, err) < 0)
        goto done;

    *ret = result_of(submission, test, compiled);
    ret->cached = found;
    ret->stats = ret_outcome->stats;
    ret->output = buf_text(&ret_outcome->output);
    ret->errors = buf_text(&ret_outcome->errors);
    ret->output_cut = ret_outcome->output_cut;
    ret->errors_cut = ret_outcome->errors_cut;
    ret->compile_output = buf_text(&compiled->output);
    ret->verdict = judge_run(&ret->stats, &test->limits, ret->output, test->has_expected ? &test->expected : NULL);
    ret->verdict = judge_heap(ret->verdict, ret->errors, language->heap_full);
    ret->message = message_of(ret->verdict, &ret->stats);
    outcome = 0;
done:
    arena_done(&arena);
    return outcome;
}

void runner_not_compiled(const struct submission *submission, const struct test *test, const struct compiled *compiled,
                         struct result *ret)
{
    assert(!compiled->ok);
    *ret = result_of(submission, test, compiled);
    ret->verdict = compiled->verdict;
    ret->stats = compiled->stats;
    ret->errors = buf_text(&compiled->output);
    ret->errors_cut = compiled->output_cut;
    ret->message = text_of(compiled->message);
    /* Clients that know nothing of verdicts take an empty stderr and exit code 0 as passed. */
    if (ret->errors.len == 0)
        ret->errors = ret->message;
    if (ret->stats.exit_code == 0 && ret->stats.signal == 0)
        ret->stats.exit_code = 1;
}
