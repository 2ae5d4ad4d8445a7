/*
 * proof: what a language is proven by, on this machine and in the real sandbox: programs and what must become of them.
 *
 * The hello test of a language's own file comes first; then the sections of tests/ID.conf beside it, or of
 * tests/OF.conf where the language is another version `of` one that has them (languages/README.md has the form).
 */
#pragma once
#include "cli/local_run.h"
#include "config/config.h"
#include "model/language.h"

#define LANGUAGE_TEST_CASES_MAX 32

enum language_test_field {
    LANGUAGE_TEST_CODE,
    LANGUAGE_TEST_STDIN,
    LANGUAGE_TEST_STDOUT,    /* all of it, as the judge compares */
    LANGUAGE_TEST_STDERR,    /* a part of it, or of the compiler's text where the verdict is compile_error */
    LANGUAGE_TEST_ARGS,      /* one a line */
    LANGUAGE_TEST_FILE,      /* the name of a second file ... */
    LANGUAGE_TEST_FILE_CODE, /* ... and what is in it */
    LANGUAGE_TEST_VERDICT,   /* "accepted" if it is not there */
    LANGUAGE_TEST_EXIT,
    LANGUAGE_TEST_MEMORY,  /* as "64m" */
    LANGUAGE_TEST_TIMEOUT, /* seconds */
    LANGUAGE_TEST_FIELD_COUNT_,
};

struct language_test {
    char name[32];
    bool has[LANGUAGE_TEST_FIELD_COUNT_];
    struct buf fields[LANGUAGE_TEST_FIELD_COUNT_];
};

struct language_tests {
    struct language_test *list;
    size_t len;
};

/* What the run used; all 0 where only a compiler ran. */
struct language_test_facts {
    uint64_t compile_us, wall_us, memory_bytes;
};

/* 0, or -1 with *err; nothing is left to free then. */
int language_tests_read(const struct config *config, const struct language *language, struct language_tests *ret,
                        struct error *err);
void language_tests_done(struct language_tests *language_tests);

/* 0 if what had to happen did; else *err says what happened instead. */
int language_test_run(struct local_run *local_run, const struct config *config, const struct languages *languages,
                      const struct language *language, const struct language_test *language_test,
                      struct language_test_facts *ret, struct error *err);

/*
 * What the hello test takes, compiled once.  The time is the median of several runs, from the order to the answer, with
 * the box and without the compiler; each when the slot has had time to make the next box, as on a server that is not
 * busy.  The memory is the smallest limit of a run, in steps of 1 MiB, with which the test still passes.
 */
struct language_test_measures {
    uint64_t hello_us, smallest_bytes;
};

/* 0, or -1 with *err where the hello test does not pass. */
int language_test_measure(struct local_run *local_run, const struct config *config, const struct languages *languages,
                          const struct language *language, const struct language_test *hello,
                          struct language_test_measures *ret, struct error *err);
