/*
 * protocol: the messages between the worker and the root side of the sandbox.
 *
 * There are two kinds of SOCK_SEQPACKET connections.  A message is one packet of a fixed size.
 *
 *   control  worker <-> launcher: names an image or opens a slot.  The reply carries the slot's socket.
 *   slot     worker <-> slot:     runs a program or kills it; the reply carries the statistics.  Descriptors are sent
 *                                 along.  A request has one of two sizes: short if it has few strings, or full.
 *
 * The root side trusts nothing in a message.  It checks sizes, counts, names and numbers on arrival.  The most a worker
 * can get is a program inside a slot, with limits below root_max of LIMITS_LIST.  Both ends come from the same build,
 * because the launcher is embedded in the binary; so messages carry no version.
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
    CONTROL_HELLO = 1, /* launcher -> worker, once: ready (value is the cgroup version), or the reason why not */
    CONTROL_IMAGE,     /* make the image available to slots opened from now on */
    CONTROL_SLOT,      /* open or replace slot number `slot`; the reply carries its socket */
};

struct control_request {
    uint32_t op;
    uint32_t sequence; /* repeated in the reply, so that late replies can be told apart */
    uint32_t slot;
    char image[CONTROL_IMAGE_BYTES]; /* NUL-terminated */
};

struct control_reply {
    uint32_t op;
    uint32_t sequence;
    int32_t os;                    /* 0 on success; else an errno, and text says what failed */
    uint32_t value;                /* HELLO: cgroup version 0, 1, 2 */
    char text[CONTROL_TEXT_BYTES]; /* NUL-terminated; in a successful HELLO: a description of the backend */
};

enum slot_op {
    SLOT_RUN = 1,
    SLOT_KILL,
    SLOT_DONE,
    SLOT_STREAMS, /* slot -> worker, before DONE: read ends of the two pipes that a prestarted program writes to */
};

/* Why the worker ends a run. */
enum slot_kill_reason { SLOT_KILL_CANCEL = 1, SLOT_KILL_OUTPUT };

/* The largest share of the machine's memory a run gets: with all of it, a run would take the host down. */
#define SLOT_MEMORY_EIGHTHS 7u
#define SLOT_MEMORY_BYTES_UNKNOWN (1ull << 30) /* used instead if the size of the memory is not known */

#define SLOT_STRINGS_BYTES (32u * 1024)
/* A request whose strings fit into so many bytes is sent as a shorter packet.  Most do. */
#define SLOT_STRINGS_SHORT_BYTES 1024u
#define SLOT_WORDS_MAX 512u

/* Descriptors of a SLOT_RUN, in this order; then, with their flags, those of SLOT_HAS_ARCHIVE and SLOT_KEEP_FILES. */
enum slot_fd { SLOT_FD_STDIN, SLOT_FD_STDOUT, SLOT_FD_STDERR, SLOT_FD_BASE_COUNT_ };
#define SLOT_FDS_MAX 5
#define SLOT_HAS_ARCHIVE 1u          /* a descriptor of an archive to unpack into the box */
#define SLOT_KEEP_FILES 2u           /* a descriptor to which the files of the box are packed */
#define SLOT_DENIED_SYSCALLS_KILL 4u /* a denied system call ends the run instead of returning EPERM */
#define SLOT_SELF_TEST 8u            /* the built-in probe is executed; argv is ignored */
/* The program is an interpreter that reads its only file `source` whole before running it, so it may be prestarted. */
#define SLOT_MAY_PRESTART 16u
#define SLOT_SOURCE_BYTES 64
#define SLOT_LOOPBACK 32u /* the run has a network namespace of its own, with the loopback interface up */

struct slot_request {
    uint32_t op;
    uint32_t run;    /* the worker's number of the run; repeated in the reply; a KILL of another run is ignored */
    uint32_t reason; /* SLOT_KILL */
    uint32_t flags;
    uint32_t class;            /* enum run_class */
    uint32_t words, variables; /* strings of argv and of env, which follow one another in `strings` */
    uint32_t strings_len;
    struct limits limits;
    uint64_t keep_bytes_max; /* with SLOT_KEEP_FILES: of all files together */
    char image[CONTROL_IMAGE_BYTES];
    char source[SLOT_SOURCE_BYTES]; /* with SLOT_MAY_PRESTART: a file name without folders */
    char strings[SLOT_STRINGS_BYTES];
};
#define SLOT_REQUEST_SHORT_BYTES (offsetof(struct slot_request, strings) + SLOT_STRINGS_SHORT_BYTES)

/* The size of the packet for this request. */
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
/* In the probe's environment: the kernel lacks Landlock, so the files of /proc are not checked. */
#define PROBE_WITHOUT_LANDLOCK "WITHOUT_LANDLOCK"

struct slot_reply {
    uint32_t op;
    uint32_t run;
    int32_t os;          /* 0: the fields below are valid.  Else the box could not be built, and text names the step */
    int32_t exec_os;     /* errno of a failed execve, else 0 */
    uint32_t files_kept; /* the archive was written */
    struct run_stats stats;
    char text[CONTROL_TEXT_BYTES];
};
