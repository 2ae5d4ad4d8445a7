/* program_json: equal programs are kept once, because each is compiled once. */
#include "codec/program_json.h"

#include <assert.h>
#include <stdio.h>

#include "codec/request_json.h"
#include "model/image_extension.h"
#include "model/language_choice.h"

#define NAMES_BYTES 160

struct name_list {
    char at[NAMES_BYTES];
    size_t len;
    bool is_full; /* ends with "..." */
};

static void add_name(struct name_list *list, const char *separator, struct text name)
{
    if (list->is_full || list->len + name.len + 12 > sizeof list->at) {
        if (!list->is_full)
            (void)snprintf(list->at + list->len, sizeof list->at - list->len, ", ...");
        list->is_full = true;
        return;
    }
    list->len += (size_t)snprintf(list->at + list->len, sizeof list->at - list->len, "%s%.*s",
                                  list->len > 0 ? separator : "", TEXT_ARG(name));
}

/* "c, cpp, python": the languages of which a version is there. */
static void list_names(const struct languages *languages, struct name_list *ret)
{
    *ret = (struct name_list){ 0 };
    for (size_t i = 0; i < languages->len; i++)
        if (languages->list[i].of.len == 0 && languages_latest(languages, &languages->list[i]) != NULL)
            add_name(ret, ", ", languages->list[i].id);
}

/* "3.13 (also 3.9, 3.10), 3.14" */
static void list_versions(const struct languages *languages, const struct language *named, struct name_list *ret)
{
    *ret = (struct name_list){ 0 };
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *language = &languages->list[i];
        if (!language_is_of(language, named) || (languages->require_available && !language->available))
            continue;
        add_name(ret, ", ", language->version);
        for (size_t k = 0; k < language->versions_len; k++)
            add_name(ret, k == 0 ? " (also " : ", ", language->versions[k]);
        if (language->versions_len > 0)
            add_name(ret, "", TEXT(")"));
    }
}

bool program_differs(const struct element *element, const struct element *first)
{
    static const char *const keys[] = { "language", "version", "image", "code" };

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!field_is_empty(element->object, keys[i]) &&
            !json_equal(field_get(element->object, keys[i]), field_get(first->object, keys[i])))
            return true;
    return false;
}

/* Reads the element's string, or the first element's if it is empty.  The text is borrowed from the JSON. */
static int read_name(const struct element *element, const struct element *first, const char *key, const char *expected,
                     struct text *ret, struct error *err)
{
    const struct element *from = first != NULL && field_is_empty(element->object, key) ? first : element;
    const json_t *value = field_get(from->object, key);
    struct json_path path = json_path_field(&from->path, key);

    if (!json_is_string(value) || json_string_length(value) == 0)
        return field_wrong(err, &path, expected, value);
    struct text text = json_text(value);
    const char *nul = memchr(text.at, '\0', text.len);
    if (nul != NULL)
        return error_field(err, path.at, "expected text without NUL, got one at byte %zu of %zu",
                           (size_t)(nul - text.at), text.len);
    *ret = text;
    return 0;
}

/* As read_name; nothing is "latest".  A number stands for its shortest decimal form. */
static int read_version(const struct element *element, const struct element *first, struct arena *arena,
                        struct text *ret, struct error *err)
{
    const struct element *from = first != NULL && field_is_empty(element->object, "version") ? first : element;
    const json_t *value = field_get(from->object, "version");
    char number[32];

    if (field_is_empty(from->object, "version")) {
        *ret = TEXT("latest");
        return 0;
    }
    if (!json_is_number(value))
        return read_name(element, first, "version", "a version, or \"latest\"", ret, err);
    (void)snprintf(number, sizeof number, "%.15g", json_number_value(value));
    return arena_copy(arena, text_of(number), ret, err);
}

/* "my-course (python-3.13), other (python-3.14)": the images that a request for `named` may name. */
static void list_images(const struct program_list *programs, const struct language *named, struct name_list *ret)
{
    const struct languages *languages = programs->languages;

    *ret = (struct name_list){ 0 };
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *variant = &languages->list[i];
        if (!language_is_variant_of(variant, named) || !image_list_has(programs->images, variant->image) ||
            (languages->require_available && !variant->available))
            continue;
        add_name(ret, ", ", variant->image);
        add_name(ret, " (", variant->base);
        add_name(ret, "", TEXT(")"));
    }
}

static int wrong_image(const struct program_list *programs, const struct language *named, struct text image,
                       const struct json_path *outer, struct error *err)
{
    struct json_path path = json_path_field(outer, "image");
    struct name_list list;

    list_images(programs, named, &list);
    if (list.len == 0)
        return error_field(err, path.at, "expected none, because no image that you may use extends %s; got \"%.40s\"",
                           named->id.at, image.at);
    return error_field(err, path.at, "expected one that extends this version of %s: %s; got \"%.40s\"", named->id.at,
                       list.at, image.at);
}

/* The image that the element names, or inherits; empty if there is none. */
static int read_image(const struct element *element, const struct element *first, struct text *ret, struct error *err)
{
    const struct element *from = first != NULL && field_is_empty(element->object, "image") ? first : element;

    *ret = (struct text){ 0 };
    if (field_is_empty(from->object, "image"))
        return 0;
    return read_name(element, first, "image", "the name of an image", ret, err);
}

static int find_language(const struct program_list *programs, struct text name, struct text version, struct text image,
                         const struct json_path *outer, const struct language **ret, struct error *err)
{
    const struct languages *languages = programs->languages;
    const struct language *named, *language = languages_choose(languages, name, version, image, &named);
    struct json_path language_path = json_path_field(outer, "language");
    struct json_path version_path = json_path_field(outer, "version");
    struct name_list list;

    if (named == NULL) {
        list_names(languages, &list);
        return error_field(err, language_path.at, "expected one of %s, got \"%.40s\"", list.at, name.at);
    }
    if (language == NULL && image.len > 0)
        return wrong_image(programs, named, image, outer, err);
    if (language != NULL && language->base.len > 0 && !image_list_has(programs->images, language->image))
        return wrong_image(programs, named, language->image, outer, err);
    *ret = language;
    if (language != NULL)
        return 0;
    list_versions(languages, named, &list);
    if (list.len == 0)
        return error_field(err, language_path.at, "language %s is not installed on this server", named->id.at);
    return error_field(err, version_path.at, "expected a version of %s: %s, or \"latest\"; got \"%.40s\"", named->id.at,
                       list.at, version.at);
}

/* True if both files cannot exist in one folder: equal names, or one is a folder of the other. */
static bool names_clash(struct text a, struct text b)
{
    if (a.len > b.len) {
        struct text longer = a;
        a = b;
        b = longer;
    }
    return a.len > 0 && text_equal(a, (struct text){ b.at, a.len }) && (a.len == b.len || b.at[a.len] == '/');
}

static int normalise_name(struct text *name, struct arena *arena, struct error *err)
{
    char *at = arena_alloc(arena, name->len + 1, err);

    if (at == NULL)
        return -1;
    size_t len = file_name_normalise(*name, at);
    at[len] = '\0';
    *name = (struct text){ at, len };
    return 0;
}

/* A source as compilers and interpreters take it: without a byte order mark, with plain newlines if they need it. */
static int clean_source(const struct language *language, struct file *file, struct arena *arena, struct error *err)
{
    struct text *content = &file->content;
    size_t len = 0;

    if (!command_has_suffix(file->name, language->suffixes, language->suffixes_len))
        return 0;
    if (content->len >= 3 && memcmp(content->at, "\xEF\xBB\xBF", 3) == 0)
        *content = (struct text){ content->at + 3, content->len - 3 };
    if (!language->crlf_convert || content->len == 0 || memmem(content->at, content->len, "\r\n", 2) == NULL)
        return 0;
    char *at = arena_alloc(arena, content->len + 1, err);
    if (at == NULL)
        return -1;
    for (size_t i = 0; i < content->len; i++)
        if (content->at[i] != '\r' || i + 1 == content->len || content->at[i + 1] != '\n')
            at[len++] = content->at[i];
    at[len] = '\0';
    *content = (struct text){ at, len };
    return 0;
}

static int read_file(const json_t *entry, const struct json_path *path, const struct language *language,
                     const struct file *others, size_t others_len, struct arena *arena, struct file *ret,
                     struct error *err)
{
    struct json_path name_path = json_path_field(path, "name");
    bool has_name, has_content;

    if (!json_is_object(entry))
        return field_wrong(err, path, "an object with name and content", entry);
    if (field_text(entry, "name", path, arena, false, &ret->name, &has_name, err) < 0)
        return -1;
    if (has_name && normalise_name(&ret->name, arena, err) < 0)
        return -1;
    if (!has_name || !file_name_is_valid(ret->name))
        return field_wrong(err, &name_path,
                           "a relative file name of at most 200 bytes and 8 parts, without \"..\" or \"\\\"",
                           field_get(entry, "name"));
    if (names_clash(ret->name, language->binary_file))
        return error_field(err, name_path.at, "expected another name: the compiler writes %s",
                           language->binary_file.at);
    for (size_t i = 0; i < others_len; i++)
        if (names_clash(ret->name, others[i].name))
            return error_field(err, name_path.at, "expected another name: %s exists already", others[i].name.at);
    if (field_bytes(entry, "content", path, arena, &ret->content, &has_content, err) < 0)
        return -1;
    if (!has_content)
        return field_wrong(err, path, "content or content_base64", NULL);
    return clean_source(language, ret, arena, err);
}

/* files[0] is the main source; its content may be borrowed from the JSON. */
static int read_files(struct program *program, const struct element *from, struct text code, struct arena *arena,
                      struct error *err)
{
    struct json_path outer = json_path_field(&from->path, "files");
    const json_t *files;

    if (field_array(from->object, "files", &from->path, 0, REQUEST_FILES_MAX, &files, err) < 0)
        return -1;
    size_t others = files != NULL ? json_array_size(files) : 0;
    program->files = arena_alloc_array(arena, 1 + others, sizeof *program->files, err);
    if (program->files == NULL)
        return -1;
    program->files[0] = (struct file){ .name = program->language->source_file, .content = code };
    if (clean_source(program->language, &program->files[0], arena, err) < 0)
        return -1;
    for (size_t i = 0; i < others; i++) {
        struct json_path path = json_path_element(&outer, i);
        if (read_file(json_array_get(files, i), &path, program->language, program->files, 1 + i, arena,
                      &program->files[1 + i], err) < 0)
            return -1;
    }
    program->files_len = 1 + others;
    return 0;
}

static void make_digest(const struct program *program, char ret[HASH_HEX_BYTES])
{
    struct hash hash;

    hash_start(&hash);
    hash_add(&hash, program->language->id);
    hash_add(&hash, program->version);
    hash_add_u64(&hash, program->assertions ? 1 : 0);
    for (size_t i = 0; i < program->files_len; i++) {
        hash_add(&hash, program->files[i].name);
        hash_add(&hash, program->files[i].content);
    }
    hash_finish(&hash, ret);
}

/* Compares digests, so that a thousand large programs do not need a million comparisons of their contents. */
static bool find_equal(struct program_list *list, const char digest[HASH_HEX_BYTES], uint32_t *ret_index)
{
    for (size_t i = 0; i < list->len; i++) {
        if (list->digests[i][0] == '\0')
            make_digest(&list->programs[i], list->digests[i]);
        if (memcmp(list->digests[i], digest, HASH_HEX_BYTES) == 0) {
            *ret_index = (uint32_t)i;
            return true;
        }
    }
    return false;
}

int program_find(struct program_list *list, const struct element *element, const struct element *first,
                 uint32_t *ret_index, struct error *err)
{
    bool differs = first == NULL || program_differs(element, first);
    const struct element *files_from = differs || field_get(element->object, "files") != NULL ? element : first;
    bool own_assertions = first == NULL || field_get(element->object, "assertions") != NULL;
    char digest[HASH_HEX_BYTES] = "";
    struct program program = { 0 };
    struct text language, image, code;

    if (read_name(element, first, "language", "the name of a language", &language, err) < 0 ||
        read_version(element, first, list->arena, &program.version, err) < 0 ||
        read_image(element, first, &image, err) < 0 ||
        read_name(element, first, "code", "the source of the program", &code, err) < 0 ||
        field_bool((own_assertions ? element : first)->object, "assertions", &(own_assertions ? element : first)->path,
                   &program.assertions, err) < 0)
        return -1;
    if (files_from == first && program.assertions == list->programs[0].assertions) { /* the first element's program */
        *ret_index = 0;
        return 0;
    }
    if (find_language(list, language, program.version, image, &element->path, &program.language, err) < 0 ||
        read_files(&program, files_from, code, list->arena, err) < 0)
        return -1;
    if (list->len > 0) {
        make_digest(&program, digest);
        if (find_equal(list, digest, ret_index))
            return 0;
    }
    if (arena_copy(list->arena, program.version, &program.version, err) < 0 ||
        arena_copy(list->arena, program.files[0].content, &program.files[0].content, err) < 0)
        return -1;
    memcpy(list->digests[list->len], digest, sizeof digest);
    *ret_index = (uint32_t)list->len;
    list->programs[list->len++] = program;
    return 0;
}
