/* cache_key: see the header. */
#include "worker/cache_key.h"

#include <sys/stat.h>

#include "worker/step_command.h"

#define ARTIFACT_VERSION "evalx artifact 3" /* changed when artifacts of an older evalx must not be used */
#define ARTIFACT_VERSION_SCOPED "evalx artifact 3 of a client"
#define RESULT_VERSION "evalx result 4"

/*
 * The image "host" is this machine's own /usr: a package upgrade changes the compiler while the language file's version
 * stays "12".  So the size, mtime and inode of the command's file are part of the key.
 * Other images are never changed in place: a new build has layers with new names.
 */
static void add_program(struct hash *hash, const struct program *program, char *const *argv, char *const *env)
{
    const struct language *language = program->language;
    struct stat command;

    hash_add(hash, language->id);
    hash_add(hash, language->version);
    hash_add(hash, language->image);
    hash_add(hash, language->layers);
    if (text_equal(language->image, TEXT("host")) && stat(argv[0], &command) == 0) {
        hash_add_u64(hash, (uint64_t)command.st_ino);
        hash_add_u64(hash, (uint64_t)command.st_size);
        hash_add_u64(hash, (uint64_t)command.st_mtim.tv_sec);
    }
    for (char *const *word = argv; *word != NULL; word++)
        hash_add(hash, text_of(*word));
    size_t env_len = 0;
    while (env[env_len] != NULL)
        env_len++;
    hash_add_u64(hash, env_len);
    for (char *const *line = env; *line != NULL; line++)
        hash_add(hash, text_of(*line));
    hash_add_u64(hash, program->files_len);
    for (size_t i = 0; i < program->files_len; i++) {
        hash_add(hash, program->files[i].name);
        hash_add(hash, program->files[i].content);
    }
}

/* No client's name contains a '+'. */
#define SCOPE_SHARED "+"

static struct text cache_scope(const struct submission *submission)
{
    return submission->share_cache ? TEXT(SCOPE_SHARED) : text_of(submission->client);
}

void cache_key_artifact(const struct submission *submission, const struct program *program,
                        const struct step_command *compiler, char ret_key[HASH_HEX_BYTES])
{
    struct text scope = cache_scope(submission);
    struct hash hash;

    hash_start(&hash);
    hash_add(&hash, scope.len == 0 ? TEXT(ARTIFACT_VERSION) : TEXT(ARTIFACT_VERSION_SCOPED));
    if (scope.len > 0)
        hash_add(&hash, scope);
    add_program(&hash, program, compiler->argv, compiler->env);
    hash_finish(&hash, ret_key);
}

int cache_key_result(const struct submission *submission, const struct program *program,
                     const struct run_request *request, struct arena *arena, char ret_key[HASH_HEX_BYTES],
                     struct error *err)
{
    char compile_key[HASH_HEX_BYTES] = "";
    struct step_command compiler;
    struct hash hash;

    if (program->language->compile.words_len > 0) {
        if (step_command_compile(program, arena, &compiler, err) < 0)
            return -1;
        cache_key_artifact(submission, program, &compiler, compile_key);
    }
    hash_start(&hash);
    hash_add(&hash, TEXT(RESULT_VERSION));
    hash_add(&hash, cache_scope(submission));
    hash_add(&hash, text_of(compile_key));
    add_program(&hash, program, request->argv, request->env);
    hash_add_u64(&hash, request->class);
    hash_add_u64(&hash, request->network);
    for (size_t i = 0; i < LIMIT_FIELDS_LEN; i++)
        hash_add_u64(&hash, limits_get(&request->limits, i));
    hash_add(&hash, request->input);
    hash_finish(&hash, ret_key);
    return 0;
}
