/*
 * language_test: tests of a language in the sandbox of this machine.
 *
 * The first test is the hello test of the language file.  The others are the sections of tests/ID.conf beside it, or of
 * tests/OF.conf for a version `of` another language (the format is described in languages/README.md).  [live_data] gets
 * its input and expected output from its limits.  [packages] is no test, but a template of tests.
 */
#pragma once
#include "cli/local_run.h"
#include "config/config.h"
#include "model/language.h"

#define LANGUAGE_TEST_CASES_MAX 128

enum language_test_field {
    LANGUAGE_TEST_CODE,
    LANGUAGE_TEST_STDIN,
    LANGUAGE_TEST_STDOUT,    /* all of it; the judge compares */
    LANGUAGE_TEST_STDERR,    /* a part of stderr, or of the compiler's messages if the verdict is compile_error */
    LANGUAGE_TEST_ARGS,      /* one per line */
    LANGUAGE_TEST_FILE,      /* the name of a second file ... */
    LANGUAGE_TEST_FILE_CODE, /* ... and its content */
    LANGUAGE_TEST_FILE2,
    LANGUAGE_TEST_FILE2_CODE,
    LANGUAGE_TEST_FILE3,
    LANGUAGE_TEST_FILE3_CODE,
    LANGUAGE_TEST_FILE4,
    LANGUAGE_TEST_FILE4_CODE,
    LANGUAGE_TEST_VERDICT, /* default: "accepted" */
    LANGUAGE_TEST_EXIT,
    LANGUAGE_TEST_MEMORY,     /* as "64m" */
    LANGUAGE_TEST_TIMEOUT,    /* seconds */
    LANGUAGE_TEST_NETWORK,    /* "loopback" */
    LANGUAGE_TEST_STACK,      /* as LANGUAGE_TEST_MEMORY */
    LANGUAGE_TEST_ASSERTIONS, /* "yes" */
    LANGUAGE_TEST_SINCE,      /* only for this version and newer ones */
    LANGUAGE_TEST_ONLY,       /* ids of versions; it is for no others */
    LANGUAGE_TEST_EXCEPT,     /* ids of versions that it is not for */
    LANGUAGE_TEST_PERCENT,    /* of [live_data] */
    LANGUAGE_TEST_NAMES,      /* of [packages], one or more a line */
    LANGUAGE_TEST_FIELD_COUNT_,
};

struct language_test {
    char name[80];
    bool has[LANGUAGE_TEST_FIELD_COUNT_];
    struct buf fields[LANGUAGE_TEST_FIELD_COUNT_];
};

struct language_tests {
    struct language_test *list;
    size_t len;
    struct language_test *packages; /* [packages]; NULL if there is none */
};

/* Resources of the run; all 0 if only the compiler ran. */
struct language_test_stats {
    uint64_t compile_us, wall_us, memory_bytes;
};

/* The caller frees *ret with language_tests_done.  On error there is nothing to free. */
int language_tests_read(const struct config *config, const struct language *language, struct language_tests *ret,
                        struct error *err);
void language_tests_done(struct language_tests *language_tests);

/* 0 if the test passes; else *err describes the difference. */
int language_test_run(struct local_run *local_run, const struct config *config, const struct language *language,
                      const struct language_test *language_test, struct language_test_stats *ret, struct error *err);

/* The request of a test, decoded as by a server that has only this language.  The caller owns *ret. */
int language_test_submission(const struct config *config, const struct language *language,
                             const struct language_test *language_test, struct submission *ret, struct error *err);
/* 0 if the result is what the test expects; else *err describes the difference. */
int language_test_compare(const struct language_test *language_test, const struct result *result, struct error *err);
/* The test of one of the names of [packages].  The caller frees *ret with language_test_done. */
int language_test_of_package(const struct language_test *packages, struct text name, struct language_test *ret,
                             struct error *err);
void language_test_done(struct language_test *language_test);
