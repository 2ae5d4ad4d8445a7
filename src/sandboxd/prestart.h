/*
 * warm: boxes made ahead in which an interpreter has started, and stands at the opening of its source file.
 *
 * Most of a small program's time in an interpreter is the interpreter's start, which does not depend on the program.
 * So the box of a slot's next run may be let go on, to where the program is needed: in place of its source stands a
 * FIFO, whose opening for reading waits for a writer.  With the request come the files: the FIFO is taken away, the
 * real file put in its place, and what it holds is written into the FIFO.  The interpreter is a process of its own
 * like any other, started once for one run: its hash seed, address space and random state are nobody else's, and it
 * has been near nothing of a client.
 *
 * It only works where all of a source is read before any of it runs, and nobody asks what kind of file it is; the
 * language file says so (`warm`).  The words, environment and limits have to be the same as they will be then; so a
 * slot makes one only after two equal requests in a row.  Its streams are made here, because a started process cannot
 * be given others: the worker gets their read ends with SLOT_STREAMS, and its input is copied.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "sandbox/protocol.h"
#include "sandboxd/standby.h"

/* What has to be equal, besides struct standby_kind. */
struct prestart_kind {
    bool is_set;
    struct limits limits;
    uint32_t words, variables, strings_len;
    char source[SLOT_SOURCE_BYTES];
    char strings[SLOT_STRINGS_SHORT_BYTES];
};

/* Of a request that has been checked; is_set false where it may not be warm. */
void prestart_kind_of(const struct slot_request *request, struct prestart_kind *ret);
bool prestart_kind_equal(const struct prestart_kind *a, const struct prestart_kind *b);

struct prestart {
    struct prestart_kind kind; /* is_set false: the box made ahead is a plain one */
    int input;                 /* written when the input comes; the interpreter has it as its stdin */
    int output, errors;        /* read ends */
};

/* Lets the interpreter start in the box that has just been made.  0; or -1 with errno, and the box is of no use. */
int prestart_start(const struct standby *standby, const struct prestart_kind *kind, uid_t uid, bool no_cgroup,
                   struct prestart *ret);

/*
 * The request has come, for which the box was made: gives the worker its streams, the interpreter its input and source.
 * 0 or -1 with errno.
 */
int prestart_feed(struct prestart *prestart, const struct standby *standby, int worker,
                  const struct slot_request *request, int input, int archive);

/* Closes what is open; afterwards the box made ahead counts as plain. */
void prestart_close(struct prestart *prestart);
