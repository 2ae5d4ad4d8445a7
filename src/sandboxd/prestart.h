/*
 * prestart: standby boxes in which an interpreter has already started and waits for its source file.
 *
 * Most of a small program's time in an interpreter is the interpreter's own start, which does not depend on the
 * program.  The box therefore continues up to the point where the program is needed.  A FIFO takes the place of the
 * source file, and opening it for reading blocks until there is a writer.  When the request arrives, init removes the
 * FIFO, unpacks the real file in its place and writes the file's content into the FIFO.
 *
 * The interpreter is a process of its own, started for one run.  It shares no hash seed, address space or random state
 * with another, and no client's data has been near it.
 *
 * This works only if the interpreter reads all of its source before it runs any of it, and does not ask what kind of
 * file it is.  The language file states that (`prestart`).  Words, environment and limits must be those of the request,
 * so a slot prestarts only after two equal requests in a row.  A started process cannot be given other streams, so they
 * are made here: the worker receives the read ends with SLOT_STREAMS, and the request's input is copied.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "sandbox/protocol.h"
#include "sandboxd/standby.h"

/* What must be equal in two requests, besides their struct standby_spec. */
struct prestart_spec {
    bool is_set;
    struct limits limits;
    uint32_t words, variables, strings_len;
    char source[SLOT_SOURCE_BYTES];
    char strings[SLOT_STRINGS_SHORT_BYTES];
};

/* From a request that has been checked.  is_set is false if its interpreter may not be prestarted. */
void prestart_spec_of(const struct slot_request *request, struct prestart_spec *ret);
/* False if either of them is not set. */
bool prestart_spec_equal(const struct prestart_spec *a, const struct prestart_spec *b);

struct prestart {
    struct prestart_spec spec; /* is_set false: nothing has been started in the standby box */
    int input;                 /* write access to the memfd that is the interpreter's stdin */
    int output, errors;        /* read ends */
};

/* Starts the interpreter in a fresh standby box.  -1 with errno: the box must be dropped. */
int prestart_start(const struct standby *standby, const struct prestart_spec *spec, bool no_cgroup,
                   struct prestart *ret);

/* A request with the prestart's spec, and the sockets and descriptors to serve it. */
struct prestart_feed {
    int request_socket; /* of the box */
    int worker;         /* the socket to the worker, which is sent the streams */
    const struct slot_request *request;
    int input, archive;
};

/* Gives the worker its streams, and the interpreter its input and source.  0, or -1 with errno. */
int prestart_feed(struct prestart *prestart, const struct prestart_feed *feed);

/* Closes the descriptors and marks the standby box as one without a started interpreter. */
void prestart_close(struct prestart *prestart);
