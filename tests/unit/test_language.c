/* What the language files say, what is refused, how versions inherit, and how commands are filled. */
#include "fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "model/language_file.h"

#define BASICS "id = x\nname = X\nversion = 1\nimage = host\nsource = main.x\nrun = /bin/x {source}\n"

static int read_text(const char *text, struct languages *read, struct error *err)
{
    *err = (struct error){ 0 };
    assert_ok(languages_init(read, err), *err);
    return language_text_read(text_of(text), "x.conf", &config, NULL, read, err);
}

static void a_mistake_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "", "x.conf: id: expected" },
        { "id = Big\n", "id: expected 1 to 31 characters from a-z" },
        { "id = mixed\n", "\"mixed\" is reserved" },
        { "id = a23456789012345678901234567890123\n", "id: expected" },
        { "id = x\n", "name, version and run are required" },
        { "id = x\nid = y\n", "x.conf:2: id is set twice" },
        { "id = x\n  y\n", "x.conf:2: id: expected one line" },
        { BASICS "colour = red\n", "x.conf:7: unknown key \"colour\" in section []" },
        { BASICS "class = fast\n", "class: expected native or runtime, got \"fast\"" },
        { BASICS "compile = gcc {source}\n", "compile: expected an absolute path" },
        { BASICS "compile = /gcc -o{binary}\n", "{binary} is used, but no binary is named" },
        { BASICS "compile = /gcc {sauce}\n", "compile: \"{sauce}\" has no such placeholder" },
        { BASICS "compile = /gcc -x{args}\n", "has no such placeholder" },
        { BASICS "binary = main.x\n", "binary: expected the name of a file other than the source" },
        { BASICS "binary = a/b\n", "binary: expected" },
        { BASICS "env = PATH\n", "env: expected NAME=value, got \"PATH\"" },
        { BASICS "env = =x\n", "env: expected NAME=value" },
        { BASICS "env = A={sauce}\n", "env: \"A={sauce}\" has no such placeholder" },
        { BASICS "env = A={args}\n", "has no such placeholder" },
        { BASICS "env = A={prepared}/x\n", "env: {prepared} is used, but the language has no [prepare] script" },
        { BASICS "suffixes = c\n", "suffixes: expected words such as .c, got \"c\"" },
        { BASICS "crlf = yes\n", "crlf: expected convert or keep, got \"yes\"" },
        { BASICS "assertions = -ea\n", "assertions: expected {assertions} in compile or run" },
        { BASICS "compile = /gcc {assertions}\n", "assertions: expected {assertions} in compile or run" },
        { BASICS "stack = 8m\n", "stack: expected memory, got \"8m\"" },
        { BASICS "heap = 101%\n", "heap: expected a part of the memory limit such as 85% or 100% - 40m, got" },
        { BASICS "heap = 0%\n", "heap: expected" },
        { BASICS "heap = 85\n", "heap: expected" },
        { BASICS "heap = 85% - much\n", "heap: expected" },
        { BASICS "syntax_error = in {file}\n", "syntax_error: \"{file}\" has no such placeholder" },
        { BASICS "syntax_error = *: error\n", "syntax_error: expected text that begins with the start of a line" },
        { BASICS "syntax_error = line*{number}\n", "syntax_error: expected other text between * and {number}" },
        { BASICS "needs = bin/x\n", "needs: expected absolute paths" },
        { BASICS "[prepare]\ndepends = bin/x\n", "depends: expected absolute paths" },
        { BASICS "[prepare]\nscript = a\nscript_file = b\n", "script and script_file: expected one of them" },
        { BASICS "[prepare]\nscript_file = ../b\n", "script_file: expected the name of a file in prepare/" },
        { BASICS "compile = /gcc -I{prepared}\n", "{prepared} is used, but the language has no [prepare] script" },
        { BASICS "compile = /gcc -x{if_prepared}\n",
          "{if_prepared} is used, but the language has no [prepare] script" },
        { BASICS "[prepare_limits]\nspeed = 1\n", "x.conf:8: unknown limit \"speed\"" },
        { BASICS "[limits]\nspeed = 1\n", "x.conf:8: unknown limit \"speed\"" },
        { BASICS "[limits]\nprocesses = 0\n", "expected at least 1" },
        { BASICS "[limits]\nprocesses = 5\nprocesses = 6\n", "x.conf:9: processes is set twice" },
        { BASICS "[limits]\nmemory_bytes = lots\n", "memory_bytes: expected a size" },
        { BASICS "[hello]\nid = x\n", "unknown key \"id\" in section [hello]" },
        { BASICS "prestart = perhaps\n", "x.conf:7: prestart: expected yes or no, got \"perhaps\"" },
        { BASICS "warm = 1\n", "x.conf:7: warm: expected yes or no, got \"1\"" },
        { BASICS "warm = yes\nprestart = yes\n", "x.conf:8: prestart is set twice" },
        { BASICS "[version 2]\n", "x.conf:7: [version 2]: expected a [language] section before it" },
        { BASICS "[language]\n", "x.conf:7: [language]: expected once, before all else" },
        { "[language]\n" BASICS "[version 2]\nname = Y\n[version 2]\n", "x.conf:10: [version 2] appears twice" },
        { "[language]\n" BASICS "[version 2]\nversion = 3\n", "x.conf:9: version is set twice" },
        { "[language]\n" BASICS "[version]\n",
          "x.conf:8: [version]: the section names no version, as in [version 3.12]" },
        { "[language]\n" BASICS "[version 2]\ncolour = red\n",
          "x.conf:9: unknown key \"colour\" in section [version 2]" },
        { "[language]\n" BASICS "[version 2]\n[limits]\nspeed = 1\n", "x.conf:10: unknown limit \"speed\"" },
        { "[language]\n" BASICS "[verison 2]\n", "x.conf:8: unknown section [verison 2]" },
        { "[language]\n" BASICS "[version 2]\nid = Big\n", "x.conf: [version 2]: id: expected" },
        { "[language]\n" BASICS "[version 2]\nrun =\n", "x.conf: [version 2]: name, version and run are required" },
        { "id = x\nname = X\nversion = 1\nimage = ../etc\n", "name, version and run" },
        { "id = x\nname = X\nversion = 1\nimage = ../etc\nrun = /x\nsource = a\n", "image: expected the name" },
        { "id = x\nname = X\nversion = 1\nimage = host\nrun = /x\nsource = ../a\n", "source: expected the name" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct languages read;
        struct error err;

        print_message("  %s\n", rows[i].error);
        assert_int_equal(read_text(rows[i].text, &read, &err), -1);
        assert_int_equal(err.kind, ERROR_SETUP);
        assert_contains(err.text, rows[i].error);
        languages_done(&read);
    }
}

static void every_key_arrives(void **state)
{
    (void)state;
    struct languages read;
    struct error err;

    assert_ok(
        read_text(BASICS
                  "suite = s\nprestart = yes\naliases = y  z\nversions = 1.0\n  1.1\nclass = runtime\nbinary = b\n"
                  "compile = /cc\n  -o {binary} {assertions}\nenv = A=1 2\n  B=\nneeds = /a /b\n"
                  "suffixes = .c .s\ncrlf = convert\nassertions = -ea -x\nno_assertions = -da\nheap = 90% - 40m\n"
                  "syntax_error =\n  |  File {source}\n  Error\n"
                  "[image]\nsetup_files = f g\n"
                  "[limits]\ncpu_time_ms = 1500\nmemory_bytes = 999g\n[compile_limits]\nmemory_bytes = 8g\n"
                  "[prepare]\ndepends = /c /d\nscript =\n  |make\n  |  it\n[prepare_limits]\nprocesses = 3\n"
                  "[hello]\ncode =\n  |#a\n  |\n  |  b\nstdin = i\n",
                  &read, &err),
        err);
    struct language language = read.list[0];
    assert_int_equal(read.len, 1);
    assert_text_equal(language.recipe.suite, "s");
    assert_int_equal(language.recipe.setup_files_len, 2);
    assert_true(language.prestart);
    assert_text_equal(language.aliases[1], "z");
    assert_int_equal(language.versions_len, 2);
    assert_text_equal(language.versions[1], "1.1");
    assert_int_equal(language.class, RUN_CLASS_RUNTIME);
    assert_int_equal(language.compile.words_len, 4);
    assert_text_equal(language.suffixes[1], ".s");
    assert_true(language.crlf_convert);
    assert_int_equal(language.assertions_len, 2);
    assert_text_equal(language.no_assertions[0], "-da");
    assert_int_equal(language.heap.percent, 90);
    assert_int_equal(language.heap.less_bytes, 40 << 20);
    assert_int_equal(language.syntax_error_len, 2);
    assert_text_equal(language.syntax_error[0], "  File {source}");
    assert_int_equal(language.env_len, 2);
    assert_text_equal(language.env[0], "A=1 2");
    assert_text_equal(language.env[1], "B=");
    assert_int_equal(language.needs_len, 2);
    assert_int_equal(language.limits.cpu_us, 1500000);
    assert_int_equal(language.depends_len, 2);
    assert_text_equal(language.depends[1], "/d");
    assert_text_equal(language.prepare_script, "make\n  it\n");
    assert_int_equal(language.prepare_limits.processes, 3);
    assert_true(language.limits.memory_bytes == config.memory_bytes_max);   /* cut to the ceiling */
    assert_true(language.compile_limits.memory_bytes == UINT64_C(8) << 30); /* ours: not cut */
    assert_text_equal(language.hello_code, "#a\n\n  b\n");
    assert_text_equal(language.hello_stdin, "i\n");
    assert_text_equal(language.hello_stdout, "");
    languages_done(&read);
}

static void a_version_inherits_what_it_does_not_set(void **state)
{
    (void)state;
    struct languages read;
    struct error err;

    /* The byte order mark that some editors write is no part of the section. */
    assert_ok(read_text("\xEF\xBB\xBF[language]\n" BASICS
                        "aliases = y\nversions = 1.0\nneeds = /x/{version} /y\nenv = A=1\n  B={version}\nwarm = yes\n"
                        "[limits]\nprocesses = 3\nmemory_bytes = 64m\n[prepare]\nscript = make\n"
                        "[version 2]\n"
                        "[version 3.1]\nid = three\nsuite = s\nenv = B=3\n  C=4\nwarm = no\naliases = z\n"
                        "[limits]\nprocesses = 5\n[prepare]\nscript =\n"
                        "[version 4]\nneeds = /w\nenv =\n  D=5\nimage = x-{version}\n",
                        &read, &err),
              err);
    assert_int_equal(read.len, 4);
    const struct language *base = &read.list[0], *two = base + 1, *three = base + 2, *four = base + 3;
    assert_string_equal(base->id.at, "x");
    assert_int_equal(base->of.len, 0);
    assert_text_equal(base->needs[0], "/x/1");
    assert_int_equal(base->limits.processes, 3);

    assert_text_equal(two->id, "x-2");
    assert_text_equal(two->of, "x");
    assert_text_equal(two->version, "2");
    assert_text_equal(two->needs[0], "/x/2");
    assert_int_equal(two->needs_len, 2);
    assert_int_equal(two->aliases_len + two->versions_len, 0); /* they belong to one version */
    assert_int_equal(two->env_len, 2);
    assert_text_equal(two->env[1], "B=2");
    assert_text_equal(two->suffixes[0], ".x"); /* of the source */
    assert_int_equal(two->heap.percent, 60);
    assert_true(two->prestart);
    assert_text_equal(two->prepare_script, "make\n");

    assert_text_equal(three->id, "three");
    assert_text_equal(three->of, "x");
    assert_text_equal(three->recipe.suite, "s");
    assert_int_equal(three->env_len, 3);
    assert_text_equal(three->env[0], "A=1");
    assert_text_equal(three->env[1], "B=3");
    assert_text_equal(three->env[2], "C=4");
    assert_false(three->prestart);
    assert_int_equal(three->limits.processes, 5);
    assert_true(three->limits.memory_bytes == 64u << 20);
    assert_int_equal(three->prepare_script.len, 0);

    assert_int_equal(four->env_len, 1); /* "env =" drops what is inherited */
    assert_text_equal(four->env[0], "D=5");
    assert_int_equal(four->needs_len, 1);
    assert_text_equal(four->image, "x-4");
    assert_int_equal(four->limits.processes, 3);
    languages_done(&read);
}

/* A script that several languages share is a file in prepare/, beside their files. */
static void a_script_may_be_a_file(void **state)
{
    (void)state;
    struct languages read;
    struct error err;

    assert_ok(languages_init(&read, &err), err);
    assert_ok(language_file_read(EVALX_LANGUAGES_FOLDER "/cpp.conf", &config, NULL, &read, &err), err);
    assert_true(read.len > 1);
    assert_contains(read.list[0].prepare_script.at, "-x c++-header");
    assert_string_equal(read.list[0].prepare_script.at, read.list[1].prepare_script.at);
    languages_done(&read);
}

static void expect_words(const struct command *command, const struct command_values *values, const char *expected)
{
    auto_buf struct buf line = { .max = 10000 };
    struct arena arena;
    struct error err;
    char **argv;

    arena_init(&arena, 1 << 20);
    assert_ok(command_expand(command, values, &arena, &argv, &err), err);
    for (; *argv != NULL; argv++)
        assert_ok(buf_printf(&line, &err, "[%s]", *argv), err);
    assert_string_equal(line.at != NULL ? line.at : "", expected);
    arena_done(&arena);
}

static void commands_are_filled(void **state)
{
    (void)state;
    struct text words[] = {
        TEXT("/cc"),     TEXT("-o{binary}:{main}.{memory_mb}"),        TEXT("{assertions}"), TEXT("{source}"),
        TEXT("{files}"), TEXT("-Xmx{heap_mb}m:{stack_kb}:{stack_mb}"), TEXT("{args}"),
    };
    struct command command = { words, LEN(words) };
    struct text args[] = { TEXT("a b"), TEXT(""), TEXT("{source}") };
    struct text files[] = { TEXT("-x.c"), TEXT("@y.c"), TEXT("h.h"), TEXT("d/z.s"), TEXT("d.c/z") };
    struct text suffixes[] = { TEXT(".c"), TEXT(".s") }, assertions[] = { TEXT("-ea"), TEXT("{binary}") };
    struct command_values values = {
        .source = TEXT("m.a.c"),
        .binary = TEXT("m"),
        .memory_bytes = 100 << 20,
        .stack_bytes = 3 << 20,
        .heap = { .percent = 90, .less_bytes = 30 << 20 },
        .suffixes = suffixes,
        .suffixes_len = LEN(suffixes),
        .assertions = assertions,
        .assertions_len = LEN(assertions),
        .args = args,
        .args_len = LEN(args),
        .files = files,
        .files_len = LEN(files),
    };
    expect_words(&command, &values,
                 "[/cc][-om:m.a.100][-ea][{binary}][m.a.c][./-x.c][./@y.c][d/z.s][-Xmx60m:2688:2][a b][]"
                 "[{source}]");
    values = (struct command_values){ .source = TEXT("m"), .memory_bytes = 1 };
    expect_words(&command, &values, "[/cc][-o:m.1][m][-Xmx1m:1:1]");

    struct text more[] = { TEXT("/cc"), TEXT("-I{prepared}"), TEXT("-B{prepared}/{main}"), TEXT("-f{if_prepared}"),
                           TEXT("-x") };
    struct command preparing = { more, LEN(more) };
    expect_words(&preparing, &values, "[/cc][-x]");
    values.prepared = TEXT("/prepared/c-1");
    expect_words(&preparing, &values, "[/cc][-I/prepared/c-1][-B/prepared/c-1/m][-f][-x]");
    expect_words(&(struct command){ NULL, 0 }, &values, "");
}

static void the_environment_is_filled(void **state)
{
    (void)state;
    struct text lines[] = { TEXT("A={heap_mb}m {stack_kb} {heap_hex}"), TEXT("B={prepared}/x"), TEXT("C=") };
    struct command_values values = { .memory_bytes = 64 << 20, .stack_bytes = 8 << 20, .heap = { .percent = 50 } };
    struct arena arena;
    struct error err;
    char **env;

    arena_init(&arena, 1 << 20);
    assert_ok(command_expand_env(lines, LEN(lines), &values, &arena, &env, &err), err);
    assert_string_equal(env[0], "A=32m 7168 20");
    assert_string_equal(env[1], "C=");
    assert_null(env[2]);
    values.prepared = TEXT("/prepared/x-1");
    assert_ok(command_expand_env(lines, LEN(lines), &values, &arena, &env, &err), err);
    assert_string_equal(env[1], "B=/prepared/x-1/x");
    arena_done(&arena);
}

static void names(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "c", "c" },     { "PYTHON3", "python" }, { "js", "javascript" }, { "node", "javascript" }, { "C++", "cpp" },
        { "sh", "bash" }, { "gcc", "c" },          { "py", "python" },     { "java", "java" },       { "jdk", "java" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        const struct language *language = languages_find(&languages, text_of(rows[i][0]));
        print_message("  %s\n", rows[i][0]);
        assert_non_null(language);
        assert_string_equal(language->id.at, rows[i][1]);
    }
    assert_null(languages_find(&languages, TEXT("klingon")));
    assert_null(languages_find(&languages, TEXT("")));
    for (size_t i = 1; i < languages.len; i++)
        assert_true(strcmp(languages.list[i - 1].id.at, languages.list[i].id.at) < 0);
    for (size_t i = 0; i < languages.len; i++) {
        assert_true(languages.list[i].hello_code.len > 0 && languages.list[i].hello_stdout.len > 0);
        assert_true(languages.list[i].needs_len > 0 && languages.list[i].env_len > 0);
    }
}

/* A folder of our own, with files; removed by remove_folder. */
static void write_file(const char *folder, const char *name, const char *text)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void remove_file(const char *folder, const char *name)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static void two_files_may_not_claim_one_name(void **state)
{
    (void)state;
    char folder[] = "/tmp/evalx-languages-XXXXXX";
    struct languages loaded;
    struct error err;

    assert_non_null(mkdtemp(folder));
    assert_int_equal(languages_load(folder, &config, &loaded, &err), -1);
    assert_contains(err.text, "expected 1 to 1000 language files");
    write_file(folder, "x.conf", BASICS "aliases = why\n");
    write_file(folder, "README.md", "not a language\n");
    assert_ok(languages_load(folder, &config, &loaded, &err), err);
    assert_int_equal(loaded.len, 1);
    languages_done(&loaded);
    write_file(folder, "y.conf", "id = y\nname = Y\nversion = 1\nimage = host\nsource = m\nrun = /y\naliases = WHY\n");
    assert_int_equal(languages_load(folder, &config, &loaded, &err), -1);
    assert_contains(err.text, "both answer to");
    write_file(folder, "y.conf", "id = y\n");
    assert_int_equal(languages_load(folder, &config, &loaded, &err), -1);
    assert_contains(err.text, "y.conf: name, version and run are required");
    remove_file(folder, "x.conf");
    remove_file(folder, "y.conf");
    remove_file(folder, "README.md");
    rmdir(folder);
    assert_int_equal(languages_load(folder, &config, &loaded, &err), -1);
    assert_contains(err.text, "No such file or directory");
}

static void defaults_hold_for_files_with_a_language_section(void **state)
{
    (void)state;
    char folder[] = "/tmp/evalx-languages-XXXXXX";
    struct languages loaded;
    struct error err;

    assert_non_null(mkdtemp(folder));
    write_file(folder, "defaults.conf", "env = A=1\nsuite = s\n[compile_limits]\nprocesses = 7\n");
    write_file(folder, "x.conf", BASICS);
    write_file(folder, "y.conf", "[language]\nid = y\nname = Y\nversion = 1\nimage = i\nsource = m\nrun = /y\n");
    assert_ok(languages_load(folder, &config, &loaded, &err), err);
    assert_int_equal(loaded.len, 2);
    assert_int_equal(loaded.list[0].env_len + loaded.list[0].recipe.suite.len, 0); /* x stands alone */
    assert_int_equal(loaded.list[0].compile_limits.processes, 64);
    assert_text_equal(loaded.list[1].env[0], "A=1");
    assert_text_equal(loaded.list[1].recipe.suite, "s");
    assert_int_equal(loaded.list[1].compile_limits.processes, 7);
    languages_done(&loaded);

    static const char *const rows[][2] = {
        { "id = x\n", "defaults.conf:1: id: expected in a language's own file" },
        { "[version 1]\n", "defaults.conf:1: [version 1]: expected in a language's own file" },
        { "class = native\n[language]\n", "defaults.conf:2: [language]: expected in a language's own file" },
        { "colour = red\n", "defaults.conf:1: unknown key \"colour\"" },
        { "[colours]\n", "defaults.conf:1: unknown section [colours]" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        write_file(folder, "defaults.conf", rows[i][0]);
        assert_int_equal(languages_load(folder, &config, &loaded, &err), -1);
        assert_contains(err.text, rows[i][1]);
    }
    remove_file(folder, "defaults.conf");
    write_file(folder, "z.conf",
               "[language]\nid = z\nname = Z\nversion = 1\nimage = i\nsource = m\nrun = /z\n"
               "[version 2]\nid = x\n");
    assert_int_equal(languages_load(folder, &config, &loaded, &err), -1);
    assert_contains(err.text, "language x is defined twice");
    remove_file(folder, "x.conf");
    remove_file(folder, "y.conf");
    remove_file(folder, "z.conf");
    rmdir(folder);
}

static void a_version_is_of_a_language_that_is_there(void **state)
{
    (void)state;
    char folder[] = "/tmp/evalx-languages-XXXXXX";
    struct languages loaded;
    struct error err;

    assert_non_null(mkdtemp(folder));
    write_file(folder, "x.conf", BASICS);
    write_file(folder, "y.conf", "id = y\nname = Y\nversion = 1\nimage = host\nsource = m\nrun = /y\nof = z\n");
    assert_int_equal(languages_load(folder, &config, &loaded, &err), -1);
    assert_contains(err.text, "language y: of: unknown language \"z\"");
    write_file(folder, "y.conf", "id = y\nname = Y\nversion = 1\nimage = host\nsource = m\nrun = /y\nof = x\n");
    assert_ok(languages_load(folder, &config, &loaded, &err), err);
    languages_done(&loaded);
    write_file(folder, "z.conf", "id = z\nname = Z\nversion = 1\nimage = host\nsource = m\nrun = /z\nof = y\n");
    assert_int_equal(languages_load(folder, &config, &loaded, &err), -1); /* one step, not a chain */
    assert_contains(err.text, "language z: of: unknown language \"y\"");
    remove_file(folder, "x.conf");
    remove_file(folder, "y.conf");
    remove_file(folder, "z.conf");
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_is_named),
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(a_version_inherits_what_it_does_not_set),
        cmocka_unit_test(a_script_may_be_a_file),
        cmocka_unit_test(commands_are_filled),
        cmocka_unit_test(the_environment_is_filled),
        cmocka_unit_test(names),
        cmocka_unit_test(two_files_may_not_claim_one_name),
        cmocka_unit_test(defaults_hold_for_files_with_a_language_section),
        cmocka_unit_test(a_version_is_of_a_language_that_is_there),
    };
    return cmocka_run_group_tests_name("language", tests, set_up, tear_down);
}
