/* step_compile: see the header. */
#include "worker/step_compile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "model/judge.h"
#include "sandbox/archive.h"
#include "worker/artifact_cache.h"
#include "worker/cache_key.h"
#include "worker/step_command.h"

static_assert(COMPILE_OUTPUT_BYTES_MAX == ARTIFACT_OUTPUT_BYTES_MAX, "an artifact keeps all of the compiler's output");

void compiled_init(struct compiled *compiled)
{
    *compiled = (struct compiled){ .archive_fd = -1, .verdict = VERDICT_INTERNAL_ERROR };
    buf_init(&compiled->output, COMPILE_OUTPUT_BYTES_MAX);
}

void compiled_done(struct compiled *compiled)
{
    cleanup_close(&compiled->archive_fd);
    compiled->archive_fd = -1;
    buf_done(&compiled->output);
}

/* Keeps stderr before stdout, because readers look for the errors first. */
static void keep_compiler_output(struct compiled *compiled, const struct run_outcome *outcome)
{
    struct text parts[] = { buf_text(&outcome->errors), buf_text(&outcome->output) };
    struct error ignored; /* the lengths fit, so only memory can be short; then the output is left out */

    compiled->output_cut = outcome->errors_cut || outcome->output_cut;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t room = COMPILE_OUTPUT_BYTES_MAX - compiled->output.len;
        if (parts[i].len > room) {
            parts[i].len = room;
            compiled->output_cut = true;
        }
        if (parts[i].len > 0)
            (void)buf_append_text(&compiled->output, parts[i], &ignored);
    }
}

void compiled_refuse(struct compiled *compiled, uint64_t mib_max)
{
    cleanup_close(&compiled->archive_fd);
    compiled->archive_fd = -1;
    compiled->ok = false;
    compiled->verdict = VERDICT_COMPILE_ERROR;
    (void)snprintf(compiled->message, sizeof compiled->message,
                   "the compiled programs of this submission take more than %" PRIu64 " MiB together", mib_max);
}

bool compiled_copy(const struct compiled *from, struct compiled *to)
{
    struct error ignored;

    compiled_init(to);
    struct buf output = to->output;
    *to = *from;
    to->output = output;
    to->cached = true;
    to->archive_fd = from->ok ? fcntl(from->archive_fd, F_DUPFD_CLOEXEC, 3) : -1;
    if ((!from->ok || to->archive_fd >= 0) &&
        (from->output.len == 0 || buf_append_text(&to->output, buf_text(&from->output), &ignored) == 0))
        return true;
    compiled_done(to);
    return false;
}

int step_compile_key(const struct submission *submission, const struct program *program, char ret_key[HASH_HEX_BYTES],
                     struct error *err)
{
    auto_arena struct arena arena;
    struct step_command command;

    ret_key[0] = '\0';
    arena_init(&arena, STEP_COMMAND_BYTES_MAX);
    if (program->language->compile.words_len == 0)
        return 0;
    if (step_command_compile(program, &arena, &command, err) < 0)
        return -1;
    cache_key_artifact(submission, program, &command, ret_key);
    return 0;
}

static double seconds(uint64_t microseconds)
{
    return (double)microseconds / 1e6;
}

/* Sets the verdict of a compiler that failed, and a message where its own output cannot explain the failure. */
static void explain_failure(struct compiled *compiled, enum verdict cause, const struct limits *limits,
                            uint64_t artifact_bytes_max)
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
    case VERDICT_ACCEPTED: /* it succeeded, but its products could not be archived */
        (void)snprintf(message, size,
                       "the compiler's products cannot be kept: more than %d files or folders, or %" PRIu64
                       " MiB, or a name of more than %d bytes",
                       ARCHIVE_FILES_MAX,
                       (artifact_bytes_max < limits->disk_bytes ? artifact_bytes_max : limits->disk_bytes) >> 20,
                       ARCHIVE_NAME_MAX);
        break;
    case VERDICT_WRONG_ANSWER:
    case VERDICT_COMPILE_ERROR:
    case VERDICT_RUNTIME_ERROR:
    case VERDICT_INTERNAL_ERROR:
    case VERDICT_COUNT_:
        if (compiled->stats.signal != 0)
            (void)snprintf(message, size, "the compiler was killed by signal %d", compiled->stats.signal);
        else if (compiled->output.len == 0)
            (void)snprintf(message, size, "the compiler exited with code %d", compiled->stats.exit_code);
        break;
    }
}

/* Seals the archive, or a copy of it where it cannot be sealed: no run may change what later runs start from. */
static int seal(int *archive_fd, struct error *err)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct stat status;
    int copy_fd = -1;

    if (fcntl(*archive_fd, F_ADD_SEALS, seals) == 0 || (fcntl(*archive_fd, F_GET_SEALS) & seals) == seals)
        return lseek(*archive_fd, 0, SEEK_SET) < 0 ? error_set(err, ERROR_SANDBOX, errno, "rewind archive") : 0;
    if (fstat(*archive_fd, &status) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "stat archive");
    if (artifact_memfd_copy(*archive_fd, 0, (uint64_t)status.st_size, &copy_fd, err) < 0) {
        err->kind = ERROR_SANDBOX;
        return -1;
    }
    cleanup_close(archive_fd);
    *archive_fd = copy_fd;
    return 0;
}

static int run_compiler(struct sandbox_slot *slot, const struct program *program, const struct step_command *command,
                        uint64_t artifact_bytes_max, struct compiled *ret, struct error *err)
{
    const struct language *language = program->language;
    auto_close int sources_fd = -1;
    struct run_outcome outcome;

    if (archive_of_files(program->files, program->files_len, &sources_fd, err) < 0)
        return -1;
    struct run_request request = {
        .image = language->image.at,
        .class = RUN_CLASS_COMPILER,
        .argv = command->argv,
        .env = command->env,
        .limits = language->compile_limits,
        .archive_fd = sources_fd,
        .keep_files = true,
        .keep_bytes_max = artifact_bytes_max,
    };
    if (sandbox_run(slot, &request, &outcome, err) < 0)
        return -1;

    enum verdict cause = judge_run(&outcome.stats, buf_text(&outcome.output), NULL);
    ret->stats = outcome.stats;
    ret->compile_us = outcome.stats.wall_us;
    keep_compiler_output(ret, &outcome);
    ret->ok = cause == VERDICT_ACCEPTED && outcome.archive_fd >= 0;
    if (ret->ok) {
        ret->verdict = VERDICT_ACCEPTED;
        ret->archive_fd = take_fd(&outcome.archive_fd);
    } else {
        explain_failure(ret, cause, &request.limits, artifact_bytes_max > 0 ? artifact_bytes_max : UINT64_MAX);
    }
    run_outcome_done(&outcome);
    return ret->ok ? seal(&ret->archive_fd, err) : 0;
}

static int compile_or_find(struct sandbox_slot *slot, struct artifact_cache *cache, const char *key,
                           uint64_t artifact_bytes_max, const struct program *program, struct compiled *ret,
                           struct error *err)
{
    struct artifact artifact;
    auto_arena struct arena arena;
    struct step_command command;

    arena_init(&arena, STEP_COMMAND_BYTES_MAX);
    if (step_command_compile(program, &arena, &command, err) < 0)
        return -1;
    if (cache == NULL)
        return run_compiler(slot, program, &command, artifact_bytes_max, ret, err);
    if (artifact_cache_get(cache, key, &artifact)) {
        buf_done(&ret->output);
        ret->archive_fd = artifact.archive_fd;
        ret->output = artifact.output;
        ret->output_cut = artifact.output_cut;
        ret->ok = ret->cached = true;
        ret->verdict = VERDICT_ACCEPTED;
        return 0;
    }
    int failed = run_compiler(slot, program, &command, artifact_bytes_max, ret, err);
    if (failed == 0 && ret->ok)
        artifact_cache_put(cache, key, ret->archive_fd, buf_text(&ret->output), ret->output_cut);
    return failed;
}

int step_compile(struct sandbox_slot *slot, struct artifact_cache *cache, const char *key, uint64_t artifact_bytes_max,
                 const struct program *program, struct compiled *ret, struct error *err)
{
    struct compiled compiled;
    int failed;

    assert(program->files_len > 0);
    compiled_init(&compiled);
    if (program->language->compile.words_len > 0) {
        failed = compile_or_find(slot, cache, key, artifact_bytes_max, program, &compiled, err);
    } else {
        failed = archive_of_files(program->files, program->files_len, &compiled.archive_fd, err);
        compiled.ok = true;
        compiled.verdict = VERDICT_ACCEPTED;
    }
    if (failed < 0) {
        compiled_done(&compiled);
        return -1;
    }
    *ret = compiled;
    return 0;
}
