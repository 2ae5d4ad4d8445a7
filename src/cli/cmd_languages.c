/* evalx languages: which languages are available here, and whether they work. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/self.h"
#include "cli/commands.h"
#include "cli/language_measure.h"
#include "cli/language_test.h"
#include "cli/local_run.h"
#include "cli/settings.h"
#include "model/language_choice.h"

enum { OPTION_JSON, OPTION_IMAGES, OPTION_PACKAGES, OPTION_MEASURE };

static const struct option_spec options[] = {
    [OPTION_JSON] = { "json", OPTION_ALONE, NULL, "print JSON" },
    [OPTION_IMAGES] = { "images", OPTION_ALONE, NULL, "print what images are built from, for evalx-images" },
    [OPTION_PACKAGES] = { "packages", OPTION_ALONE, NULL, "with verify: also import each package of [packages]" },
    [OPTION_MEASURE] = { "measure", OPTION_ALONE, NULL,
                         "with verify: also measure the language, and import each package" },
};

/* Why the language is not available, for the operator; "" if it is. */
static void reason_of(const struct language *language, char *ret, size_t size)
{
    ret[0] = '\0';
    if (!language->available && language->missing.len > 0)
        (void)snprintf(ret, size, "%.*s does not exist", TEXT_ARG(language->missing));
    else if (!language->available)
        (void)snprintf(ret, size, "image %s is not installed: %s build %s", language->image.at, self_images_tool(),
                       language->image.at);
}

static void print_table(const struct languages *languages)
{
    (void)printf("%-18s %-16s %-6s %-16s %-9s %s\n", "LANGUAGE", "VERSION", "LATEST", "IMAGE", "AVAILABLE",
                 "ALSO SERVES");
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *language = &languages->list[i];
        char reason[512];
        reason_of(language, reason, sizeof reason);
        (void)printf("%-18s %-16s %-6s %-16s ", language->id.at, language->version.at,
                     language->available && languages_latest(languages, language) == language ? "yes" : "",
                     language->image.at);
        if (!language->available) {
            (void)printf("no: %s\n", reason);
            continue;
        }
        (void)printf("%-9s", "yes");
        for (size_t k = 0; k < language->versions_len; k++)
            (void)printf(" %s", language->versions[k].at);
        for (size_t k = 0; k < language->standards_len; k++)
            (void)printf(" %s", language->standards[k].at);
        (void)printf("\n");
    }
}

static json_t *texts_to_json(const struct text *texts, size_t len)
{
    json_t *array = json_array();

    for (size_t i = 0; i < len; i++)
        (void)json_array_append_new(array, json_stringn(texts[i].at, texts[i].len));
    return array;
}

static json_t *text_to_json(struct text text)
{
    return json_stringn(text.at != NULL ? text.at : "", text.len);
}

static json_t *limits_to_json(const struct limits *limits)
{
    json_t *object = json_object();

    for (size_t i = 0; i < LIMIT_FIELDS_LEN; i++)
        if (limit_fields[i].key != NULL)
            (void)json_object_set_new(object, limit_fields[i].key,
                                      json_integer((json_int_t)(limits_get(limits, i) / limit_fields[i].factor)));
    return object;
}

/* All keys of the language file, including inherited ones, and what is available here. */
static json_t *language_to_json(const struct languages *languages, const struct language *language)
{
    static const char *const classes[] = { "native", "runtime", "compiler" };
    json_t *object = json_object();
    char reason[512];

    reason_of(language, reason, sizeof reason);
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        { "id", text_to_json(language->id) },
        { "name", text_to_json(language->name) },
        { "version", text_to_json(language->version) },
        { "of", language->of.len > 0 ? text_to_json(language->of) : json_null() },
        { "base", language->base.len > 0 ? text_to_json(language->base) : json_null() },
        { "image", text_to_json(language->image) },
        { "available", json_boolean(language->available) },
        { "missing", language->missing.len > 0 ? text_to_json(language->missing) : json_null() },
        { "reason", language->available ? json_null() : json_string(reason) },
        { "aliases", texts_to_json(language->aliases, language->aliases_len) },
        { "versions", texts_to_json(language->versions, language->versions_len) },
        { "standards", texts_to_json(language->standards, language->standards_len) },
        { "one_major", json_boolean(language->one_major) },
        { "latest", json_boolean(languages_latest(languages, language) == language) },
        { "class", json_string(classes[language->class]) },
        { "source", text_to_json(language->source_file) },
        { "binary", text_to_json(language->binary_file) },
        { "compile", texts_to_json(language->compile.words, language->compile.words_len) },
        { "run", texts_to_json(language->run.words, language->run.words_len) },
        { "suffixes", texts_to_json(language->suffixes, language->suffixes_len) },
        { "crlf", json_string(language->crlf_convert ? "convert" : "keep") },
        { "assertions", texts_to_json(language->assertions, language->assertions_len) },
        { "no_assertions", texts_to_json(language->no_assertions, language->no_assertions_len) },
        { "heap", json_pack("{s:I, s:I}", "percent", (json_int_t)language->heap.percent, "less_bytes",
                            (json_int_t)language->heap.less_bytes) },
        { "stack", language->stack_follows_memory ? json_string("memory") : json_null() },
        { "syntax_error", texts_to_json(language->syntax_error, language->syntax_error_len) },
        { "prestart", json_boolean(language->prestart) },
        { "cold_if", texts_to_json(language->cold_if, language->cold_if_len) },
        { "heap_full", text_to_json(language->heap_full) },
        { "env", texts_to_json(language->env, language->env_len) },
        { "needs", texts_to_json(language->needs, language->needs_len) },
        { "limits", limits_to_json(&language->limits) },
        { "compile_limits", limits_to_json(&language->compile_limits) },
        { "prepare", json_pack("{s:o, s:o, s:o}", "script", text_to_json(language->prepare_script), "depends",
                               texts_to_json(language->depends, language->depends_len), "limits",
                               limits_to_json(&language->prepare_limits)) },
        { "hello", json_pack("{s:o, s:o, s:o}", "code", text_to_json(language->hello_code), "stdin",
                             text_to_json(language->hello_stdin), "stdout", text_to_json(language->hello_stdout)) },
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        (void)json_object_set_new(object, members[i].key, members[i].value);
    return object;
}

static void print_recipe_words(const char *image, const char *key, const struct text *words, size_t len)
{
    for (size_t i = 0; i < len; i++)
        (void)printf("%s\t%s\t%s\n", image, key, words[i].at);
}

/* Prints lines of image, key and word, separated by tabs.  Every language of an image adds some. */
static void print_recipes(const struct languages *languages)
{
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *language = &languages->list[i];
        const struct image_recipe *recipe = &language->recipe;
        const char *image = language->image.at;
        if (strcmp(image, "host") == 0)
            continue;
        print_recipe_words(image, "language", &language->id, 1);
        print_recipe_words(image, "suite", &recipe->suite, recipe->suite.len > 0 ? 1 : 0);
        print_recipe_words(image, "on", &recipe->on, recipe->on.len > 0 ? 1 : 0);
        print_recipe_words(image, "packages", recipe->packages, recipe->packages_len);
        print_recipe_words(image, "pypi", recipe->pypi, recipe->pypi_len);
        print_recipe_words(image, "npm", recipe->npm, recipe->npm_len);
        print_recipe_words(image, "maven", recipe->maven, recipe->maven_len);
        print_recipe_words(image, "gomod", recipe->gomod, recipe->gomod_len);
        print_recipe_words(image, "crates", recipe->crates, recipe->crates_len);
        print_recipe_words(image, "setup_files", recipe->setup_files, recipe->setup_files_len);
        print_recipe_words(image, "setup", recipe->setup, recipe->setup_len);
    }
}

static int print_json(json_t *value)
{
    int outcome = json_dumpf(value, stdout, JSON_INDENT(2));

    (void)putchar('\n');
    json_decref(value);
    return outcome < 0 ? EVALX_EXIT_FAILURE : EVALX_EXIT_OK;
}

static int list(const struct invocation *invocation, const struct languages *languages)
{
    if (invocation_has(invocation, OPTION_IMAGES)) {
        print_recipes(languages);
        return EVALX_EXIT_OK;
    }
    if (!invocation_has(invocation, OPTION_JSON)) {
        print_table(languages);
        return EVALX_EXIT_OK;
    }
    json_t *array = json_array();
    for (size_t i = 0; i < languages->len; i++)
        (void)json_array_append_new(array, language_to_json(languages, &languages->list[i]));
    return print_json(array);
}

/* The named languages, or all that are available. */
static int choose(const struct invocation *invocation, const struct languages *languages,
                  const struct language **ret_chosen, size_t *ret_len, struct error *err)
{
    size_t len = 0;

    for (int i = 1; i < invocation->operands_len; i++) {
        const struct language *language = languages_find(languages, text_of(invocation->operands[i]));
        if (language == NULL)
            return error_set(err, ERROR_USAGE, 0, "unknown language \"%s\"", invocation->operands[i]);
        if (len < languages->len)
            ret_chosen[len++] = language;
    }
    for (size_t i = 0; invocation->operands_len == 1 && i < languages->len; i++)
        if (languages->list[i].available)
            ret_chosen[len++] = &languages->list[i];
    if (len == 0)
        return error_set(err, ERROR_SETUP, 0, "no language is installed: `%s languages` lists what is missing",
                         self_name());
    *ret_len = len;
    return 0;
}

struct verification {
    struct local_run local_run;
    const struct config *config;
    bool measures, imports;
    json_t *report; /* NULL: print text */
};

/* Runs the tests one by one and adds each to `cases`.  *err is the first failure. */
static int run_language_tests(struct verification *verification, const struct language *language,
                              const struct language_tests *language_tests, json_t *cases,
                              struct language_test_stats *ret_hello, struct error *err)
{
    int outcome = 0;

    for (size_t i = 0; i < language_tests->len; i++) {
        struct error why;
        struct language_test_stats stats;
        bool passes = language_test_run(&verification->local_run, verification->config, language,
                                        &language_tests->list[i], &stats, &why) == 0;
        (void)json_object_set_new(cases, language_tests->list[i].name, passes ? json_true() : json_string(why.text));
        if (i == 0)
            *ret_hello = stats;
        if (!passes && outcome == 0) {
            *err = why;
            outcome = -1;
        }
    }
    return outcome;
}

/* The outcome of one language. */
struct finding {
    const char *reason; /* of the first failure; NULL if all tests passed */
    json_t *cases;
    struct language_test_stats hello;
    struct language_measures measures; /* 0 if not measured */
    json_t *packages;                  /* seconds by name, or why the import failed */
    uint64_t took_us;
};

/* Imports every package of [packages].  Returns false, with the first reason in *err, if one fails. */
static bool import_packages(struct verification *verification, const struct language *language,
                            const struct language_test *packages, json_t *ret, struct error *err)
{
    static const char blanks[] = " \t\n";
    bool all = true;

    if (packages == NULL || packages->fields[LANGUAGE_TEST_NAMES].len == 0)
        return true;
    for (const char *at = packages->fields[LANGUAGE_TEST_NAMES].at; *(at += strspn(at, blanks)) != '\0';) {
        struct text name = { at, strcspn(at, blanks) };
        char key[80];
        uint64_t took_us;
        struct error why;
        at += name.len;
        (void)snprintf(key, sizeof key, "%.*s", TEXT_ARG(name));
        if (language_measure_package(&verification->local_run, verification->config, language, packages, name, &took_us,
                                     &why) == 0) {
            (void)json_object_set_new(ret, key, json_real((double)took_us / 1e6));
            continue;
        }
        (void)json_object_set_new(ret, key, json_string(why.text));
        if (all)
            *err = why;
        all = false;
    }
    return all;
}

static void report_json(json_t *report, const struct language *language, const struct finding *found)
{
    (void)json_array_append_new(
        report,
        json_pack("{s:s, s:b, s:f, s:s?, s:f, s:f, s:I, s:I, s:I, s:O, s:O}", "id", language->id.at, "works",
                  found->reason == NULL, "seconds", (double)found->took_us / 1e6, "reason", found->reason,
                  "hello_seconds", (double)found->hello.wall_us / 1e6, "compile_seconds",
                  (double)found->hello.compile_us / 1e6, "memory_bytes", (json_int_t)found->hello.memory_bytes,
                  "smallest_memory_bytes", (json_int_t)found->measures.smallest_bytes, "live_data_percent",
                  (json_int_t)found->measures.live_percent, "packages", found->packages, "cases", found->cases));
}

static void print_finding(const struct language *language, const struct finding *found)
{
    const char *name;
    json_t *passed;
    size_t len = json_object_size(found->cases);

    if (found->reason == NULL) {
        (void)printf("%-18s works (%zu of %zu, hello %.0f ms", language->id.at, len, len,
                     (double)found->hello.wall_us / 1e3);
        if (found->measures.smallest_bytes > 0)
            (void)printf(", from %" PRIu64 " MiB", found->measures.smallest_bytes >> 20);
        if (found->measures.live_percent > 0)
            (void)printf(", %" PRIu64 " %% live data", found->measures.live_percent);
        if (json_object_size(found->packages) > 0)
            (void)printf(", %zu packages", json_object_size(found->packages));
        (void)printf(")\n");
        return;
    }
    (void)printf("%-18s FAILS\n", language->id.at);
    json_object_foreach(found->cases, name, passed)
    {
        if (json_is_string(passed))
            (void)printf("    %s\n", json_string_value(passed));
    }
    json_object_foreach(found->packages, name, passed)
    {
        if (json_is_string(passed))
            (void)printf("    %s\n", json_string_value(passed));
    }
    if (len == 0)
        (void)printf("    %s\n", found->reason);
}

/* true if all tests passed. */
static bool verify_one(struct verification *verification, const struct language *language,
                       const struct language_tests *language_tests)
{
    struct finding found = { .cases = json_object(), .packages = json_object() };
    struct error err = { 0 };
    uint64_t begin_us = clock_mono_us();

    bool works = run_language_tests(verification, language, language_tests, found.cases, &found.hello, &err) == 0;
    found.took_us = clock_mono_us() - begin_us;
    if (works && verification->measures) {
        works = language_measure(&verification->local_run, verification->config, language, language_tests,
                                 &found.measures, &err) == 0;
        found.hello.wall_us = found.measures.hello_us;
    }
    if (works && verification->imports)
        works = import_packages(verification, language, language_tests->packages, found.packages, &err);
    found.reason = works ? NULL : err.text;
    if (verification->report != NULL)
        report_json(verification->report, language, &found);
    else
        print_finding(language, &found);
    (void)fflush(stdout);
    json_decref(found.cases);
    json_decref(found.packages);
    return works;
}

static void free_all_tests(struct language_tests *all, size_t len)
{
    for (size_t i = 0; all != NULL && i < len; i++)
        language_tests_done(&all[i]);
    free(all);
}

/* The tests of all chosen languages, read while this process is root: later the folder may not be readable. */
static struct language_tests *read_all_tests(const struct config *config, const struct language *const *chosen,
                                             size_t len, struct error *err)
{
    struct language_tests *all = calloc(len, sizeof *all);

    if (all == NULL) {
        (void)error_set(err, ERROR_BUSY, errno, "read the tests of the languages");
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        if (language_tests_read(config, chosen[i], &all[i], err) < 0) {
            free_all_tests(all, len);
            return NULL;
        }
    }
    return all;
}

static int verify(const struct invocation *invocation, const struct config *config, const struct languages *languages)
{
    const struct language **chosen = calloc(languages->len + 1, sizeof *chosen);
    struct language_tests *tests = NULL;
    struct verification verification = { .config = config,
                                         .measures = invocation_has(invocation, OPTION_MEASURE),
                                         .imports = invocation_has(invocation, OPTION_PACKAGES) ||
                                                    invocation_has(invocation, OPTION_MEASURE),
                                         .report = invocation_has(invocation, OPTION_JSON) ? json_array() : NULL };
    struct error err = { 0 };
    size_t len = 0, working = 0;

    if (chosen == NULL || choose(invocation, languages, chosen, &len, &err) < 0 ||
        (tests = read_all_tests(config, chosen, len, &err)) == NULL ||
        local_run_open(config, languages, &verification.local_run, &err) < 0) {
        free_all_tests(tests, len);
        free(chosen);
        json_decref(verification.report);
        return command_failed(&err);
    }
    for (size_t i = 0; i < len; i++)
        working += verify_one(&verification, chosen[i], &tests[i]);
    local_run_close(&verification.local_run);
    free_all_tests(tests, len);
    free(chosen);
    if (verification.report != NULL && print_json(verification.report) != EVALX_EXIT_OK)
        return EVALX_EXIT_FAILURE;
    return working == len ? EVALX_EXIT_OK : EVALX_EXIT_FAILURE;
}

static int run(const struct invocation *invocation)
{
    struct config config;
    struct languages languages;
    struct error err = { 0 };
    int status;

    if (invocation->operands_len > 0 && strcmp(invocation->operands[0], "verify") != 0)
        return usage_error(invocation->command, "unexpected \"%s\"", invocation->operands[0]);
    if (settings_load(invocation, &config, &err) < 0 || settings_languages(&config, &languages, &err) < 0)
        return command_failed(&err);
    if (invocation->operands_len == 0) {
        status = list(invocation, &languages);
    } else {
        languages.require_available = true;
        status = verify(invocation, &config, &languages);
    }
    languages_done(&languages);
    return status;
}

const struct subcommand languages_command = {
    .name = "languages",
    .operands = "[verify [ID...]]",
    .summary = "list the languages of this machine, and what is missing",
    .details = "\n`verify` tests the named languages, or all available ones, in the sandbox.  For each it runs the "
               "hello test\n"
               "and the tests in that language's file under tests/.  This needs root.",
    .options = options,
    .options_len = sizeof options / sizeof *options,
    .operands_max = -1,
    .run = run,
};
