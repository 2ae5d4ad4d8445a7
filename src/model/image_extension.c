/* image_extension: see the header. */
#include "model/image_extension.h"

#include <dirent.h>
#include <errno.h>
#include <linux/limits.h> /* limits.h would be ours */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "model/language_file.h"
#include "model/language_layers.h"

bool image_extension_name_is_valid(struct text name)
{
    if (name.len == 0 || name.len > IMAGE_EXTENSION_BYTES_MAX || name.at[0] < 'a' || name.at[0] > 'z' ||
        text_equal(name, TEXT("host")))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] == '\0' || strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", name.at[i]) == NULL)
            return false;
    return true;
}

/* Takes the next name off *rest.  False: there is none. */
static bool next_name(struct text *rest, struct text *ret)
{
    const char *comma = rest->len > 0 ? memchr(rest->at, ',', rest->len) : NULL;

    if (rest->at == NULL)
        return false;
    *ret = (struct text){ rest->at, comma != NULL ? (size_t)(comma - rest->at) : rest->len };
    *rest = comma != NULL ? (struct text){ comma + 1, rest->len - ret->len - 1 } : (struct text){ 0 };
    return true;
}

bool image_list_has(struct text list, struct text name)
{
    bool has = text_equal(list, TEXT("*"));

    for (struct text one; !has && next_name(&list, &one);)
        has = text_equal(one, name);
    return has;
}

bool image_list_is_valid(struct text list)
{
    bool is_valid = true;

    if (list.len == 0 || text_equal(list, TEXT("*")))
        return true;
    for (struct text one; is_valid && next_name(&list, &one);)
        is_valid = image_extension_name_is_valid(one);
    return is_valid;
}

static size_t name_len(const char *file)
{
    size_t len = strlen(file), suffix = sizeof IMAGE_EXTENSION_SUFFIX - 1;

    return len > suffix && strcmp(file + len - suffix, IMAGE_EXTENSION_SUFFIX) == 0 ? len - suffix : 0;
}

static int is_extension_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && name_len(entry->d_name) > 0;
}

/* An extension only changes the image, so it may set no other key. */
static int check_keys(const struct language_layer *layer, struct error *err)
{
    static const char *const sections[] = {
#define X(section, key, shape) section,
        KEYS(X)
#undef X
    };
    static const char *const names[] = {
#define X(section, key, shape) #key,
        KEYS(X)
#undef X
    };

    for (enum key key = 0; key < KEY_COUNT_; key++)
        if (layer->values[key].is_own && strcmp(sections[key], "image") != 0)
            return error_set(err, ERROR_SETUP, 0, "%s: an extension has only the keys of [image]", names[key]);
    return layer_line(layer, KEY_on).len > 0 ? 0 : error_set(err, ERROR_SETUP, 0, "on: expected the name of an image");
}

static int read_recipe(const char *path, struct text name, const struct config *config, struct arena *arena,
                       struct image_recipe *ret, struct error *err)
{
    struct language_layer *layer;

    if (!image_extension_name_is_valid(name))
        return error_set(err, ERROR_SETUP, 0,
                         "%s: expected a name of 1 to %d characters a-z 0-9 . _ - that begins with a letter", path,
                         IMAGE_EXTENSION_BYTES_MAX);
    if (language_layers_read(path, (struct text){ 0 }, path, config, NULL, arena, &layer, err) < 0)
        return -1;
    if (check_keys(layer, err) < 0)
        return error_within(err, "%s", path);
    *ret = layer_recipe(layer);
    return 0;
}

static bool is_image_of_language(const struct languages *languages, struct text image)
{
    for (size_t i = 0; i < languages->len; i++)
        if (languages->list[i].base.len == 0 && text_equal(languages->list[i].image, image))
            return true;
    return false;
}

static int add_variant(struct languages *languages, const struct language *base, struct text name,
                       const struct image_recipe *recipe, struct error *err)
{
    struct language variant = *base;
    char id[LANGUAGE_ID_BYTES_MAX + 1];

    if (languages->len == LANGUAGES_LIST_MAX)
        return error_set(err, ERROR_SETUP, 0, "more than %d languages with their variants", LANGUAGES_LIST_MAX);
    (void)snprintf(id, sizeof id, "%.*s@%.*s", TEXT_ARG(base->id), TEXT_ARG(name));
    variant.base = base->id;
    variant.of = base->of.len > 0 ? base->of : base->id;
    variant.aliases_len = 0;
    variant.image = name;
    variant.recipe = *recipe;
    if (recipe->suite.len == 0)
        variant.recipe.suite = base->recipe.suite;
    if (arena_copy(&languages->arena, text_of(id), &variant.id, err) < 0)
        return -1;
    languages->list[languages->len++] = variant;
    return 0;
}

/* Returns -1 if the list is full.  Whatever is wrong with the file is only logged. */
static int read_extension(const char *path, struct text name, const struct config *config, struct languages *languages,
                          struct error *err)
{
    size_t languages_len = languages->len;
    struct image_recipe recipe = { 0 };

    if (read_recipe(path, name, config, &languages->arena, &recipe, err) < 0) {
        log_warn("image extension left out: %s", err->text);
        return 0;
    }
    if (!is_image_of_language(languages, recipe.on) || is_image_of_language(languages, name)) {
        log_warn("image extension left out: %s: expected an image of a language file as `on`, got \"%.*s\", and a name "
                 "that no language file uses",
                 path, TEXT_ARG(recipe.on));
        return 0;
    }
    for (size_t i = 0; i < languages_len; i++)
        if (languages->list[i].base.len == 0 && text_equal(languages->list[i].image, recipe.on) &&
            add_variant(languages, &languages->list[i], name, &recipe, err) < 0)
            return -1;
    return 0;
}

int image_extensions_read(const char *images_folder, const struct config *config, struct languages *languages,
                          struct error *err)
{
    struct dirent **entries;
    int len = scandir(images_folder, &entries, is_extension_file, alphasort), result = 0;

    if (len < 0 && errno != ENOENT)
        log_warn("no image extensions: read the folder of images, %s: %s", images_folder, strerror(errno));
    for (int i = 0; i < len && result == 0; i++) {
        char path[PATH_MAX];
        struct text file = text_of(entries[i]->d_name), name;
        (void)snprintf(path, sizeof path, "%s/%s", images_folder, entries[i]->d_name);
        result = arena_copy(&languages->arena, (struct text){ file.at, name_len(file.at) }, &name, err);
        if (result == 0)
            result = read_extension(path, name, config, languages, err);
    }
    for (int i = 0; i < len; i++)
        free(entries[i]);
    free(entries);
    return result;
}
