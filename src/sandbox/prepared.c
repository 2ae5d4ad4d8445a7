/* prepared: see the header. */
#include "sandbox/prepared.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "sandbox/image_layers.h"

#define KEY_VERSION "evalx prepared 2" /* changes if folders of an older evalx must not be used */

void prepared_name(const struct language *language, const struct layers *layers, char ret[PREPARED_NAME_BYTES])
{
    char hex[HASH_HEX_BYTES];
    struct hash hash;

    hash_start(&hash);
    hash_add(&hash, TEXT(KEY_VERSION));
    hash_add(&hash, language->image);
    hash_add(&hash, language->prepare_script);
    hash_add_u64(&hash, language->compile.words_len);
    for (size_t i = 0; i < language->compile.words_len; i++)
        hash_add(&hash, language->compile.words[i]);
    hash_add_u64(&hash, language->env_len);
    for (size_t i = 0; i < language->env_len; i++)
        hash_add(&hash, language->env[i]);
    if (language->prepare_env != NULL)
        hash_add(&hash, text_of(language->prepare_env));
    for (size_t i = 0; i < language->depends_len; i++) {
        struct stat status = { 0 };
        bool is_there = image_layers_stat(layers, language->depends[i].at, &status);
        hash_add(&hash, language->depends[i]);
        /* No inode: the image may be a copy of the one that was prepared. */
        hash_add_u64(&hash, is_there ? 1 : 0);
        hash_add_u64(&hash, S_ISDIR(status.st_mode) ? 0 : (uint64_t)status.st_size);
        hash_add_u64(&hash, (uint64_t)status.st_mtim.tv_sec);
    }
    hash_finish(&hash, hex);
    int len = snprintf(ret, PREPARED_NAME_BYTES, "%s-%.*s", language->id.at, PREPARED_FINGERPRINT_CHARS, hex);
    assert(len < PREPARED_NAME_BYTES);
}

void prepared_find(struct language *language, const struct layers *layers, const char *images_folder,
                   struct arena *arena)
{
    char path[sizeof IMAGE_LAYERS_PREPARED_AT + 1 + PREPARED_NAME_BYTES] = IMAGE_LAYERS_PREPARED_AT "/";
    char *name = path + sizeof IMAGE_LAYERS_PREPARED_AT;
    auto_close int folder = -1;
    struct stat status;
    struct error ignored; /* unprepared languages work, and the launcher reports a bad folder */

    if (language->prepare_script.len == 0 ||
        image_layers_open_prepared(images_folder, language->image.at, &folder, &ignored) < 0 || folder < 0)
        return;
    prepared_name(language, layers, name);
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
        (void)arena_copy(arena, text_of(path), &language->prepared, &ignored);
}

struct text prepared_now(const struct language *language)
{
    char name[PREPARED_NAME_BYTES];
    struct layers layers;
    struct error ignored;

    if (language->prepared.len == 0 || !text_equal(language->image, TEXT("host")))
        return language->prepared;
    if (image_layers_open("", "host", &layers, &ignored) < 0)
        return (struct text){ 0 };
    prepared_name(language, &layers, name);
    image_layers_close(&layers);
    return strcmp(language->prepared.at + sizeof IMAGE_LAYERS_PREPARED_AT, name) == 0 ? language->prepared
                                                                                      : (struct text){ 0 };
}
