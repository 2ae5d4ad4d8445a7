/*
 * protocol: what the worker and the root side of the sandbox say to each other.
 *
 * Two kinds of SOCK_SEQPACKET sockets, one message a packet, every message of a fixed size:
 *   control  worker <-> launcher: name an image, open a slot (the answer carries the slot's socket).
 *   slot     worker <-> slot:     run a program (descriptors ride along), kill it, here are the facts.  A request has
 *            one of two sizes, a short one for few strings and a whole one.
 * The root side trusts nothing in a message: sizes, counts, names and numbers are checked on arrival, and the worst a
 * worker can ask for is a program, under limits below the ceilings here, inside a slot.  Both ends are the same build
 * (the launcher is part of the binary), so no versions are needed.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "run/run.h"

#define CONTROL_IMAGE_BYTES 64
#define CONTROL_TEXT_BYTES 400
#define SLOTS_MAX 1024u
#define IMAGES_MAX 128u

enum control_op {
    CONTROL_HELLO = 1, /* launcher -> worker, once: ready (cgroup version in value) or why not */
    CONTROL_IMAGE,     /* make the image usable by slots opened from now on */
    CONTROL_SLOT,      /* open slot number `slot`, or replace a broken one; the reply carries its socket */
};

struct control_request {
    uint32_t op;
    uint32_t sequence; /* comes back in the reply, so that a restarted launcher's late answer is known as such */
    uint32_t slot;
    char image[CONTROL_IMAGE_BYTES]; /* NUL-terminated */
};

struct control_reply {
    uint32_t op;
    uint32_t sequence;
    int32_t os;                    /* 0 if all went well, else an errno; then text says what failed */
    uint32_t value;                /* HELLO: cgroup version 0, 1, 2 */
    char text[CONTROL_TEXT_BYTES]; /* NUL-terminated; of a HELLO without failure: the driver, in words */
};

enum slot_op {
    SLOT_RUN = 1,
    SLOT_KILL,
    SLOT_DONE,
    SLOT_STREAMS, /* slot -> worker, before DONE: the program writes to these two pipes instead; they are read ends */
};

/* Why the worker wants a run ended. */
enum slot_kill_reason { SLOT_KILL_CANCEL = 1, SLOT_KILL_OUTPUT };

/* The largest share of the machine's memory a run gets: with all of it, a run would take the host down. */
#define SLOT_MEMORY_EIGHTHS 7u
#define SLOT_MEMORY_BYTES_UNKNOWN (1ull << 30) /* used instead if the size of the memory is not known */

#define SLOT_STRINGS_BYTES (32u * 1024)
/* A request whose strings fit into this many bytes travels as a packet that ends there: most do. */
#define SLOT_STRINGS_SHORT_BYTES 1024u
#define SLOT_WORDS_MAX 512u

/* Descriptors of a SLOT_RUN, in this order; the last two only where the flags say so. */
enum slot_fd { SLOT_FD_STDIN, SLOT_FD_STDOUT, SLOT_FD_STDERR, SLOT_FD_BASE_COUNT_ };
#define SLOT_FDS_MAX 5
#define SLOT_HAS_ARCHIVE 1u /* a descriptor to unpack into the box */
#define SLOT_KEEP_FILES 2u  /* a descriptor to pack the box into */
#define SLOT_DENIED_ENDS 4u /* a refused call ends the run, instead of answering EPERM */
#define SLOT_SELF_TEST 8u   /* the launcher's own probe (probe.h) is executed; the words are ignored */
/* An interpreter that reads all of its one file `source` before it runs any of it: one that waits may be taken. */
#define SLOT_MAY_PRESTART 16u
#define SLOT_SOURCE_BYTES 64

struct slot_request {
    uint32_t op;
    uint32_t run;    /* the worker's number for it; comes back in the reply; a KILL of another run is ignored */
    uint32_t reason; /* SLOT_KILL */
    uint32_t flags;
    uint32_t class;            /* enum run_class */
    uint32_t words, variables; /* of argv and env; their strings follow one another in `strings` */
    uint32_t strings_len;
    struct limits limits;
    char image[CONTROL_IMAGE_BYTES];
    char source[SLOT_SOURCE_BYTES]; /* with SLOT_MAY_PRESTART: a plain name in the box */
    char strings[SLOT_STRINGS_BYTES];
};
#define SLOT_REQUEST_SHORT_BYTES (offsetof(struct slot_request, strings) + SLOT_STRINGS_SHORT_BYTES)

/* The two sizes of a request's packet; the shorter one says no more than it holds. */
static inline size_t slot_request_size(const struct slot_request *request)
{
    return request->strings_len <= SLOT_STRINGS_SHORT_BYTES ? SLOT_REQUEST_SHORT_BYTES : sizeof *request;
}

/*
 * The sandbox self-test (SLOT_SELF_TEST).  The probe prints one line for each check that failed, "check: what it saw",
 * and exits with their number.  It also uses resources that the run's cgroup must have counted:
 */
#define PROBE_MEMORY_BYTES (8u << 20) /* bytes that the probe writes */
#define PROBE_PROCESSES_MAX 8u        /* the process limit must deny one of so many */
#define PROBE_OPEN_FILES_MAX 256u     /* the largest RLIMIT_NOFILE that passes */

struct slot_reply {
    uint32_t op;
    uint32_t run;
    int32_t os;          /* 0: the fields below are valid.  Else the box could not be built: text says which step */
    int32_t exec_os;     /* errno of a failed execve, else 0 */
    uint32_t files_kept; /* the archive was written */
    struct run_stats stats;
    char text[CONTROL_TEXT_BYTES];
};
