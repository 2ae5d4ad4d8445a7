/*
 * language: the list of languages, read from a folder.
 */
#include "model/language.h"

#include <dirent.h>
#include <errno.h>
#include <linux/limits.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "config/config.h"
#include "model/language_file.h"

#define DEFAULTS_FILE "defaults.conf" /* what the others inherit; holds no language */
#define ARENA_BYTES_MAX ((size_t)64 << 20)

static bool has_suffix(struct text name, struct text suffix)
{
    return name.len >= suffix.len && text_equal((struct text){ name.at + name.len - suffix.len, suffix.len }, suffix);
}

static int is_language_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && has_suffix(text_of(entry->d_name), TEXT(".conf")) &&
           strcmp(entry->d_name, DEFAULTS_FILE) != 0;
}

static int compare_languages(const void *a, const void *b)
{
    const struct language *one = a, *other = b;

    return strcmp(one->id.at, other->id.at);
}

static bool has_name(const struct language *language, struct text name)
{
    if (text_equal_ignore_case(language->id, name))
        return true;
    for (size_t i = 0; i < language->aliases_len; i++)
        if (text_equal_ignore_case(language->aliases[i], name))
            return true;
    return false;
}

/* `of` must name a language, not a version, so that one step leads from a name to its versions. */
static int check_of(const struct languages *languages, struct error *err)
{
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *one = &languages->list[i];
        size_t k = 0;
        while (k < languages->len && !(text_equal(languages->list[k].id, one->of) && languages->list[k].of.len == 0))
            k++;
        if (one->of.len > 0 && k == languages->len)
            return error_set(err, ERROR_SETUP, 0, "language %.31s: of: unknown language \"%.40s\"", one->id.at,
                             one->of.at);
    }
    return 0;
}

/* No two languages may share an id or alias. */
static int check_unique(const struct languages *languages, struct error *err)
{
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *one = &languages->list[i];
        for (size_t j = i + 1; j < languages->len; j++)
            if (text_equal(one->id, languages->list[j].id))
                return error_set(err, ERROR_SETUP, 0,
                                 "language %.31s is defined twice; is a file left from an older release?", one->id.at);
        for (size_t j = 0; j < languages->len; j++) {
            const struct language *other = &languages->list[j];
            for (size_t k = 0; i != j && k <= one->aliases_len; k++) {
                struct text name = k == one->aliases_len ? one->id : one->aliases[k];
                if (has_name(other, name))
                    return error_set(err, ERROR_SETUP, 0, "languages %.31s and %.31s both answer to \"%.40s\"",
                                     one->id.at, other->id.at, name.at);
            }
        }
    }
    return 0;
}

static void free_entries(struct dirent ***entries, int len)
{
    for (int i = 0; i < len; i++)
        free((*entries)[i]);
    free(*entries);
}

static int path_in(const char *folder, const char *name, char ret[PATH_MAX], struct error *err)
{
    if (snprintf(ret, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return error_set(err, ERROR_SETUP, ENAMETOOLONG, "%s", folder);
    return 0;
}

static int read_all(const char *folder, const struct config *config, struct languages *languages, struct error *err)
{
    const struct language_layer *defaults = NULL;
    struct dirent **entries;
    char path[PATH_MAX];
    int len = scandir(folder, &entries, is_language_file, alphasort);
    int result = -1;

    if (len < 0)
        return error_set(err, ERROR_SETUP, errno,
                         "read the folder of languages, %s (EVALX_LANGUAGES=FOLDER names another)", folder);
    if (len == 0 || len > LANGUAGES_LIST_MAX) {
        (void)error_set(err, ERROR_SETUP, 0, "%s: expected 1 to %d language files (*.conf), found %d", folder,
                        LANGUAGES_LIST_MAX, len);
        goto done;
    }
    if (languages_init(languages, err) < 0 || path_in(folder, DEFAULTS_FILE, path, err) < 0)
        goto done;
    if (access(path, F_OK) == 0 && language_defaults_read(path, config, &languages->arena, &defaults, err) < 0)
        goto done;
    for (int i = 0; i < len; i++)
        if (path_in(folder, entries[i]->d_name, path, err) < 0 ||
            language_file_read(path, config, defaults, languages, err) < 0)
            goto done;
    result = 0;

done:
    free_entries(&entries, len);
    return result;
}

int languages_init(struct languages *languages, struct error *err)
{
    *languages = (struct languages){ 0 };
    arena_init(&languages->arena, ARENA_BYTES_MAX);
    languages->list = arena_alloc_array(&languages->arena, LANGUAGES_LIST_MAX, sizeof *languages->list, err);
    return languages->list != NULL ? 0 : -1;
}

int languages_load(const char *folder, const struct config *config, struct languages *ret, struct error *err)
{
    struct languages languages = { 0 };

    if (read_all(folder, config, &languages, err) < 0 || check_unique(&languages, err) < 0 ||
        check_of(&languages, err) < 0 || image_extensions_read(config->images, config, &languages, err) < 0) {
        languages_done(&languages);
        return -1;
    }
    qsort(languages.list, languages.len, sizeof *languages.list, compare_languages);
    *ret = languages;
    return 0;
}

void languages_done(struct languages *languages)
{
    arena_done(&languages->arena);
    *languages = (struct languages){ 0 };
}

struct languages languages_only(const struct language *language)
{
    return (struct languages){ .list = (struct language *)language, .len = 1, .require_available = true };
}

const struct language *languages_find(const struct languages *languages, struct text name)
{
    for (size_t i = 0; i < languages->len; i++)
        if (has_name(&languages->list[i], name))
            return &languages->list[i];
    return NULL;
}

struct text language_base_id(struct text id)
{
    const char *sign = id.len > 0 ? memchr(id.at, '@', id.len) : NULL;

    return sign == NULL ? id : (struct text){ id.at, (size_t)(sign - id.at) };
}
