/* step_command: see the header. */
#include "worker/step_command.h"

#include <assert.h>

#include "sandbox/prepared.h"

static int expand(const struct program *program, const struct command *command, struct command_values *values,
                  struct arena *arena, struct step_command *ret, struct error *err)
{
    const struct language *language = program->language;
    size_t others_len = program->files_len - 1;
    struct text *others = arena_alloc_array(arena, others_len + 1, sizeof *others, err);

    if (others == NULL)
        return -1;
    for (size_t i = 0; i < others_len; i++)
        others[i] = program->files[i + 1].name;
    values->source = program->files[0].name;
    values->binary = language->binary_file;
    values->prepared = prepared_now(language);
    values->heap = language->heap;
    values->files = others;
    values->files_len = others_len;
    values->suffixes = language->suffixes;
    values->suffixes_len = language->suffixes_len;
    values->assertions = program->assertions ? language->assertions : language->no_assertions;
    values->assertions_len = program->assertions ? language->assertions_len : language->no_assertions_len;
    if (command_expand(command, values, arena, &ret->argv, err) < 0)
        return -1;
    return command_expand_env(language->env, language->env_len, values, arena, &ret->env, err);
}

int step_command_compile(const struct program *program, struct arena *arena, struct step_command *ret,
                         struct error *err)
{
    const struct language *language = program->language;
    struct command_values values = { .memory_bytes = language->compile_limits.memory_bytes,
                                     .stack_bytes = language->compile_limits.stack_bytes };

    assert(language->compile.words_len > 0);
    return expand(program, &language->compile, &values, arena, ret, err);
}

int step_command_run(const struct program *program, const struct test *test, struct arena *arena,
                     struct step_command *ret, struct error *err)
{
    struct command_values values = {
        .memory_bytes = test->limits.memory_bytes,
        .stack_bytes = test->limits.stack_bytes,
        .args = test->args,
        .args_len = test->args_len,
    };

    return expand(program, &program->language->run, &values, arena, ret, err);
}
