/*
 * proof: what a language is proven by, on this machine and in the real sandbox: programs and what must become of them.
 *
 * The hello test of a language's own file comes first; then the sections of tests/ID.conf beside it, or of
 * tests/OF.conf where the language is another version `of` one that has them (languages/README.md has the form).
 */
#pragma once
#include "cli/local.h"
#include "config/config.h"
#include "job/language.h"

#define PROOF_CASES_MAX 32

enum proof_field {
    PROOF_CODE,
    PROOF_STDIN,
    PROOF_STDOUT,    /* all of it, as the judge compares */
    PROOF_STDERR,    /* a part of it, or of the compiler's text where the verdict is compile_error */
    PROOF_ARGS,      /* one a line */
    PROOF_FILE,      /* the name of a second file ... */
    PROOF_FILE_CODE, /* ... and what is in it */
    PROOF_VERDICT,   /* "accepted" if it is not there */
    PROOF_EXIT,
    PROOF_MEMORY,  /* as "64m" */
    PROOF_TIMEOUT, /* seconds */
    PROOF_FIELD_COUNT_,
};

struct proof {
    char name[32];
    bool has[PROOF_FIELD_COUNT_];
    struct buf fields[PROOF_FIELD_COUNT_];
};

struct proofs {
    struct proof *list;
    size_t len;
};

/* What the run used; all 0 where only a compiler ran. */
struct proof_facts {
    uint64_t compile_us, wall_us, memory_bytes;
};

/* 0, or -1 with *err; nothing is left to free then. */
int proofs_read(const struct config *config, const struct language *language, struct proofs *ret, struct error *err);
void proofs_done(struct proofs *proofs);

/* 0 if what had to happen did; else *err says what happened instead. */
int proof_run(struct local *local, const struct config *config, const struct languages *languages,
              const struct language *language, const struct proof *proof, struct proof_facts *ret, struct error *err);

/*
 * What the hello test takes, compiled once.  The time is the median of several runs, from the order to the answer, with
 * the box and without the compiler; each when the slot has had time to make the next box, as on a server that is not
 * busy.  The memory is the smallest limit of a run, in steps of 1 MiB, with which the test still passes.
 */
struct proof_measures {
    uint64_t hello_us, smallest_bytes;
};

/* 0, or -1 with *err where the hello test does not pass. */
int proof_measure(struct local *local, const struct config *config, const struct languages *languages,
                  const struct language *language, const struct proof *hello, struct proof_measures *ret,
                  struct error *err);
