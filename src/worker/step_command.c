/* step_command: see the header. */
#include "worker/step_command.h"

#include <assert.h>

#include "sandbox/prepared.h"

static int copy_environment(const struct language *language, struct arena *arena, char ***ret_env, struct error *err)
{
    char **env = arena_alloc_array(arena, language->env_len + 1, sizeof *env, err);

    if (env == NULL)
        return -1;
    for (size_t i = 0; i < language->env_len; i++) {
        struct text copy;
        if (arena_copy(arena, language->env[i], &copy, err) < 0)
            return -1;
        env[i] = (char *)copy.at; /* bytes of the arena; execve does not change them */
    }
    *ret_env = env;
    return 0;
}

static int expand(const struct program *program, const struct command *command, struct command_values *values,
                  struct arena *arena, struct step_command *ret, struct error *err)
{
    size_t others_len = program->files_len - 1;
    struct text *others = arena_alloc_array(arena, others_len + 1, sizeof *others, err);

    if (others == NULL)
        return -1;
    for (size_t i = 0; i < others_len; i++)
        others[i] = program->files[i + 1].name;
    values->source = program->files[0].name;
    values->binary = program->language->binary_file;
    values->prepared = prepared_now(program->language);
    values->files = others;
    values->files_len = others_len;
    if (command_expand(command, values, arena, &ret->argv, err) < 0)
        return -1;
    return copy_environment(program->language, arena, &ret->env, err);
}

int step_command_compile(const struct program *program, struct arena *arena, struct step_command *ret,
                         struct error *err)
{
    const struct language *language = program->language;
    struct command_values values = { .memory_bytes = language->compile_limits.memory_bytes };

    assert(language->compile.words_len > 0);
    return expand(program, &language->compile, &values, arena, ret, err);
}

int step_command_run(const struct program *program, const struct test *test, struct arena *arena,
                     struct step_command *ret, struct error *err)
{
    struct command_values values = {
        .memory_bytes = test->limits.memory_bytes,
        .args = test->args,
        .args_len = test->args_len,
    };

    return expand(program, &program->language->run, &values, arena, ret, err);
}
