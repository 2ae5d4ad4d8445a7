/* Which installed version runs a request: numbers of versions, the rule, and the language files that evalx brings. */
#include "fixture.h"

#include <string.h>

#include "model/language_choice.h"
#include "model/language_file.h"
#include "model/version.h"

static void numbers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        uint64_t last;
        const char *suffix;
    } rows[] = {
        { "3", 1, 3, "" },
        { "3.11", 2, 11, "" },
        { "3.11.2", 3, 2, "" },
        { "2024.09", 2, 9, "" },
        { "19-clang", 1, 19, "clang" },
        { "3.11-pypy7.3", 2, 11, "pypy7.3" },
        { "21.0.1+12", 3, 1, "" },
        { "3.x", 1, 3, "" },
        { "3.11.X", 2, 11, "" },
        { "18.*", 1, 18, "" },
        { "0.0.0.5943", 4, 5943, "" },
        { "20210117-mlton", 1, 20210117, "mlton" },
        { "1.2.3.4.5.6", 6, 6, "" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct version version;
        print_message("  %s\n", rows[i].text);
        assert_true(version_parse(text_of(rows[i].text), &version));
        assert_int_equal(version.numbers_len, rows[i].len);
        assert_int_equal(version.numbers[version.numbers_len - 1], rows[i].last);
        assert_true(text_equal(version.suffix, text_of(rows[i].suffix)));
    }
    static const char *const wrong[] = {
        "",    "latest", "c++17", "c99",   ".5",           "3.", "3..1",
        "3.a", "3 11",   "x",     "3a",    "-3",           "v3", "99999999999999999999",
        "*",   "es6",    "3,11",  "3.11b", "1.2.3.4.5.6.7"
    };
    for (size_t i = 0; i < LEN(wrong); i++) {
        struct version version;
        print_message("  %s\n", wrong[i]);
        assert_false(version_parse(text_of(wrong[i]), &version));
    }
}

static void numbers_are_compared_as_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int order, minor;
    } rows[] = {
        { "3.9", "3.11", -1, -1 },      { "3.11", "3.11", 0, 0 },  { "3.11", "3.11.0", -1, 0 },
        { "3", "3.11", -1, 0 },         { "14.2", "9.9.9", 1, 1 }, { "2.9", "10.0", -1, -1 },
        { "3.11.9", "3.11.10", -1, 0 }, { "21.0.1", "21", 1, 0 },  { "2024.9", "2024.09", 0, 0 },
        { "4.0", "3.99", 1, 1 },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct version a, b;
        assert_true(version_parse(text_of(rows[i].a), &a) && version_parse(text_of(rows[i].b), &b));
        print_message("  %s %s\n", rows[i].a, rows[i].b);
        assert_int_equal(version_compare(&a, &b), rows[i].order);
        assert_int_equal(version_compare(&b, &a), -rows[i].order);
        assert_int_equal(version_compare_minor(&a, &b), rows[i].minor);
        assert_int_equal(version_compare_minor(&b, &a), -rows[i].minor);
    }
}

static void a_version_may_not_claim_what_it_is_not(void **state)
{
    (void)state;
    static const struct {
        const char *versions, *error;
    } rows[] = {
        { "versions = 1.9\n", "versions: 1.9 is newer than 1.3" },
        { "versions = 1.2 1.4.0\n", "versions: 1.4.0 is newer than 1.3" },
        { "versions = 2\n", "versions: 2 is newer than 1.3" },
        { "versions = 0.9\n", "versions: 0.9 is another major version than 1.3" },
        { "one_major = yes\nversions = 2\n", "versions: 2 is newer than 1.3" },
        { "one_major = perhaps\n", "one_major: expected yes or no" },
        { "versions = 1 1.0 1.2.70 1.3.9 kt two\n", NULL },
        { "one_major = yes\nversions = 0 0.9\n", NULL },
        { "standards = 2 99\n", NULL },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct languages read;
        struct error err = { 0 };
        char text[300];
        (void)snprintf(text, sizeof text,
                       "[language]\nid = k\nname = K\nversion = 1.3\nimage = k\nsource = m.k\n"
                       "run = /k\n%s",
                       rows[i].versions);
        print_message("  %s", rows[i].versions);
        assert_ok(languages_init(&read, &err), err);
        int outcome = language_text_read(text_of(text), "k.conf", &config, NULL, &read, &err);
        assert_int_equal(outcome, rows[i].error == NULL ? 0 : -1);
        if (rows[i].error != NULL)
            assert_contains(err.text, rows[i].error);
        languages_done(&read);
    }
}

/* Makes exactly the languages available whose images are among the words of `images`. */
static void install(const char *images)
{
    char words[600], name[80];

    (void)snprintf(words, sizeof words, " %s ", images);
    for (size_t i = 0; i < languages.len; i++) {
        (void)snprintf(name, sizeof name, " %s ", languages.list[i].image.at);
        languages.list[i].available = strstr(words, name) != NULL;
    }
}

/* "id", or "refused", "unknown". */
static const char *chosen(const char *name, const char *version)
{
    const struct language *named;
    const struct language *language = languages_choose(&languages, text_of(name), text_of(version), TEXT(""), &named);

    return language != NULL ? language->id.at : named != NULL ? "refused" : "unknown";
}

/* What is installed, what is asked for, and the id of what runs. */
static const struct {
    const char *images, *name, *version, *expected;
} choices[] = {
    /* the newest */
    { "host python-3.11 python-3.13 python-3.12", "python", "latest", "python-3.13" },
    { "host python-3.11 python-3.12", "python", "*", "python-3.12" },
    { "host", "python", "latest", "python" },
    { "host pypy-3.11", "python", "latest", "python" },
    { "pypy-3.11", "python", "latest", "pypy-3.11" },
    { "mono-6.12 dotnet-10", "csharp", "latest", "csharp-dotnet" },
    { "mono-6.12", "csharp", "latest", "csharp" },
    { "mono-6.12 dotnet-10", "mono", "latest", "csharp" },
    { "host java-11 java-17 java-21 java-25", "java", "latest", "java-25" },
    { "host java-17", "java", "LATEST", "java-17" },
    { "host gcc-12 gcc-14 clang-19", "cpp", "latest", "cpp-20" },
    { "host clang-19", "cpp", "latest", "cpp" },
    { "host gcc-12 gcc-14 clang-19", "c", "latest", "c-gcc14" },
    { "host gcc-12", "gcc", "latest", "c-gcc12" },
    { "go-1.19 go-1.21", "go", "latest", "go-1.21" },
    { "lua-5.1 lua-5.3 luajit-2.1", "lua", "latest", "lua-5.3" },
    { "sbcl-2.5 clisp-2.49", "commonlisp", "latest", "commonlisp" },
    { "clisp-2.49", "commonlisp", "latest", "commonlisp-clisp" },
    { "gdc-14 ldc-1.40", "d", "latest", "d" },
    { "typescript-5.4", "typescript", "latest", "typescript" },
    { "host node-18", "javascript", "", "node-18" },
    { "host shell", "bash", "latest", "bash-5.2" },
    /* the same minor version */
    { "python-3.11 python-3.13", "python", "3.11.0", "python-3.11" },
    { "python-3.11 python-3.13", "python", "3.11", "python-3.11" },
    { "python-3.11 python-3.13", "python", "3", "python-3.13" },
    { "python-3.11 python-3.13", "python", "3.x", "python-3.13" },
    { "python-3.11 python-3.13", "python", " v3.11.9 ", "python-3.11" },
    { "lua-5.1 lua-5.3 lua-5.4", "lua", "5.4.4", "lua" },
    { "lua-5.1 lua-5.3 lua-5.4", "lua", "5.1.0", "lua-5.1" },
    { "host java-21", "java", "21.0.1", "java-21" },
    { "go-1.24", "go", "1.24.1", "go" },
    { "go-1.19 go-1.24", "go", "1.24.99", "go" },
    { "gcc-14", "cpp", "14.2.0", "cpp-20" },
    { "gcc-12 gcc-14", "cpp", "12.2.0", "cpp-gcc12" },
    { "rust-1.63 rust-1.85", "rust", "1.85.1", "rust" },
    { "pascal-3.2", "pascal", "3.2.0", "pascal" },
    { "mono-6.12 dotnet-10", "csharp", "6.12.0", "csharp" },
    { "raku-2024", "raku", "2024.9", "raku" },
    /* a newer for an older */
    { "sqlite-3.46", "sqlite", "3.43", "sql" },
    { "sqlite-3.46", "sql", "3.36.0", "sql" },
    { "host", "python", "3.9", "python" },
    { "python-3.11 python-3.13", "python", "3.9.4", "python-3.11" },
    { "python-3.13", "python", "3.12", "python-3.13" },
    { "host", "java", "11", "java" },
    { "host", "java", "1.8", "java" },
    { "java-17 java-21 java-25", "java", "15.0.2", "java-17" },
    { "java-21", "java", "18", "java-21" },
    { "host", "javascript", "18.15.0", "javascript" },
    { "typescript-5.4", "typescript", "5.0.3", "typescript" },
    { "go-1.24", "go", "1.16.2", "go" },
    { "go-1.19 go-1.24", "go", "1.16.2", "go-1.19" },
    { "go-1.19 go-1.24", "go", "1.20", "go" },
    { "gcc-14", "cpp", "10.2.0", "cpp-20" },
    { "gcc-12 gcc-14", "c", "10", "c-gcc12" },
    { "host", "c", "5.0", "c" },
    { "swift-6.0", "swift", "5.0", "swift" },
    { "dotnet-10", "csharp", "8", "csharp-dotnet" },
    { "rust-1.85", "rust", "1.68.2", "rust" },
    { "ruby-3.3", "ruby", "3.0.1", "ruby" },
    /* never the other way round */
    { "kotlin-1.3", "kotlin", "1.9", "refused" },
    { "kotlin-1.3", "kotlin", "1.3.70", "kotlin-1.3" },
    { "kotlin-1.3 kotlin-2.4", "kotlin", "latest", "kotlin" },
    { "kotlin-1.3 kotlin-2.4", "kotlin", "1.9", "refused" },
    { "kotlin-1.9", "kotlin", "2", "refused" },
    { "host java-26 java-25", "java", "latest", "java-26" },
    { "host python-3.9 python-3.14 python-3.15 pypy-3.11", "python", "latest", "python-3.15" },
    { "host node-24 node-26", "javascript", "latest", "node-26" },
    { "scala-2.11", "scala", "2.13", "refused" },
    { "scala-2.11", "scala", "2.12.1", "refused" },
    { "groovy-2.4", "groovy", "3", "refused" },
    { "groovy-2.4", "groovy", "3.0.3", "refused" },
    { "mono-6.12", "csharp", "8", "refused" },
    { "mono-6.12", "csharp", "10", "refused" },
    { "host python-3.11", "python", "3.12", "refused" },
    { "python-3.13", "python", "3.14", "refused" },
    { "host java-21", "java", "25", "refused" },
    { "host", "java", "21", "refused" },
    { "host node-20", "javascript", "22", "refused" },
    { "go-1.24", "go", "1.25", "refused" },
    { "gcc-14", "c", "15", "refused" },
    { "rust-1.63", "rust", "1.64", "refused" },
    { "sqlite-3.46", "sql", "3.47", "refused" },
    /* another major version, or nothing at all */
    { "python-3.13", "python", "2.7", "refused" },
    { "php-8.4 php-8.2", "php", "7.4", "refused" },
    { "ruby-3.3 ruby-3.1", "ruby", "2.7", "refused" },
    { "crystal-1.14", "crystal", "0.36.1", "refused" },
    { "python-3.13", "python", "four", "refused" },
    { "python-3.13", "python", "3.13-dev", "refused" },
    { "lua-5.4", "lua", "5.1", "refused" },
    { "", "python", "latest", "refused" },
    { "host", "klingon", "1", "unknown" },
    { "host", "", "1", "unknown" },
    { "host", "3.11", "latest", "unknown" },
    /* the host comes last */
    { "host python-3.11", "python", "3.11", "python-3.11" },
    { "host python-3.13", "python", "3.11", "python-3.13" },
    { "host python-3.13", "python", "3.9", "python-3.13" },
    { "host gcc-14", "c", "12", "c-gcc14" },
    { "host java-21", "java", "17", "java-21" },
    { "host java-11", "java", "17", "java" },
    /* suffixes and names */
    { "python-3.11 pypy-3.11", "python", "pypy", "pypy-3.11" },
    { "python-3.13 pypy-3.11", "pypy", "latest", "pypy-3.11" },
    { "python-3.13 pypy-3.11", "pypy", "3.11", "pypy-3.11" },
    { "pypy-3.11", "python", "3.11", "refused" },
    { "python-3.13 pypy-3.11", "python", "3.11-pypy7.3", "pypy-3.11" },
    { "gcc-14", "c", "99", "c-99" },
    { "gcc-14", "c", "C99", "c-99" },
    { "gcc-14", "c", "11", "c-11" },
    { "gcc-14", "c", "17", "c-gcc14" },
    { "host", "c", "99", "c" },
    { "gcc-14", "cpp", "c++17", "cpp-17" },
    { "gcc-14", "cpp", "17", "cpp-17" },
    { "gcc-14", "cpp", "14", "cpp-20" },
    { "gcc-14", "cpp", "20", "cpp-20" },
    { "gcc-14 clang-19", "cpp", "clang", "cpp-clang" },
    { "gcc-14 clang-19", "cpp", "19", "refused" },
    { "lua-5.4 luajit-2.1", "lua", "jit", "luajit" },
    { "gcc-14 clang-19 clang-22 clang-18", "clang", "latest", "c-clang22" },
    { "gcc-14 clang-19 clang-18", "c", "clang", "c-clang" },
    { "gcc-14 clang-19 clang-22", "clang++", "", "cpp-clang22" },
    { "gcc-14 clang-19 clang-22", "c", "clang-19", "c-clang" },
    { "gcc-14 clang-19 clang-22", "clang", "19.1", "c-clang" },
    { "gcc-14 clang-19 clang-22", "clang", "14", "refused" },
    { "gcc-14 clang-19 clang-22", "clang", "clang-22", "c-clang22" },
    { "gcc-14", "clang", "latest", "refused" },
    { "dotnet-10", "mono", "latest", "refused" },
    { "fortran-14", "fortran", "2008", "fortran" },
    { "typescript-5.4", "typescript", "checked", "typescript-checked" },
    { "gdc-14 ldc-1.40", "gdc", "*", "d" },
    { "gdc-14 ldc-1.40", "d", "ldc", "d-ldc" },
    /* the number in the name */
    { "host python-3.11 python-3.13", "python3.11", "latest", "python-3.11" },
    { "host python-3.11 python-3.13", "Python 3.11.2", "*", "python-3.11" },
    { "host python-3.11 python-3.13", "Python (3.11.2)", "", "python-3.11" },
    { "host python-3.11 python-3.13", " python@3.11 ", "", "python-3.11" },
    { "host python-3.11 python-3.13", "python:3.9", "latest", "python-3.11" },
    { "host python-3.11 python-3.13", "python3", "latest", "python-3.13" },
    { "host python-3.13", "python2.7", "latest", "refused" },
    { "java-11 java-21", "java11", "11", "java-11" },
    { "java-11 java-21", "java21", "latest", "java-21" },
    { "java-11 java-21", "java8", "8", "java-11" },
    { "host", "java21", "21", "refused" },
    { "gcc-14", "cpp17", "latest", "cpp-17" },
    { "node-18 node-20", "node18", "latest", "node-18" },
    /* names for people */
    { "dotnet-10", "visual basic", "", "vbnet" },
    { "sbcl-2.5", "Common Lisp 2.5", "", "commonlisp" },
    /* an id stands for itself */
    { "python-3.11 python-3.13", "python-3.11", "latest", "python-3.11" },
    { "python-3.11 python-3.13", "python-3.11", "3.13", "refused" },
    { "python-3.13", "python-3.11", "latest", "refused" },
    { "gcc-14", "c-99", "99", "c-99" },
};

static void the_rule_holds_for_the_language_files(void **state)
{
    (void)state;
    languages.require_available = true;
    for (size_t i = 0; i < LEN(choices); i++) {
        install(choices[i].images);
        print_message("  [%s] %s %s\n", choices[i].images, choices[i].name, choices[i].version);
        assert_string_equal(chosen(choices[i].name, choices[i].version), choices[i].expected);
    }
}

/* Whatever is installed, no request runs on a version that is older than the one it names. */
static void no_version_serves_a_newer_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < languages.len; i++)
        languages.list[i].available = true;
    for (size_t i = 0; i < languages.len; i++) {
        const struct language *language = &languages.list[i], *named;
        struct version own;
        char newer[60];
        if (language->of.len > 0 || !version_parse(language->version, &own))
            continue;
        const struct language *latest = languages_latest(&languages, language);
        assert_non_null(latest);
        assert_true(version_parse(latest->version, &own));
        (void)snprintf(newer, sizeof newer, "%llu.%llu", (unsigned long long)own.numbers[0],
                       own.numbers_len > 1 ? (unsigned long long)own.numbers[1] + 1 : 999ull);
        if (own.numbers_len > 1)
            assert_null(languages_choose(&languages, language->id, text_of(newer), TEXT(""), &named));
        (void)snprintf(newer, sizeof newer, "%llu", (unsigned long long)own.numbers[0] + 31000000);
        assert_null(languages_choose(&languages, language->id, text_of(newer), TEXT(""), &named));
    }
}

static void a_server_without_worker_leaves_the_choice(void **state)
{
    (void)state;
    languages.require_available = false;
    install("");
    assert_string_equal(chosen("python", "latest"), "python");
    assert_string_equal(chosen("python", "3.9"), "python");
    assert_string_equal(chosen("python", "3.13"), "python-3.13");
    assert_string_equal(chosen("kotlin", "1.99"), "refused");
    install("python-3.12");
    assert_string_equal(chosen("python", "latest"), "python-3.12");
    assert_string_equal(chosen("python", "3.13"), "python-3.13");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read),
        cmocka_unit_test(numbers_are_compared_as_numbers),
        cmocka_unit_test(a_version_may_not_claim_what_it_is_not),
        cmocka_unit_test(the_rule_holds_for_the_language_files),
        cmocka_unit_test(no_version_serves_a_newer_one),
        cmocka_unit_test(a_server_without_worker_leaves_the_choice),
    };
    return cmocka_run_group_tests_name("language_choice", tests, set_up, tear_down);
}
