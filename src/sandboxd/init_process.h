/*
 * stage: the two processes of a run, from clone to exec.
 *
 *   slot process (root) --clone3: pid, ipc, uts namespaces--> init, pid 1 of the box
 *   init: enters the image, mounts the box --clone3 (v2: into the run's cgroup)--> the program's process, pid 2
 *   init gives up everything; pid 2 too, with its filter, at the threshold (threshold.h); both wait
 *                                                                             <- so far ahead of any request
 *   an order comes down the line: init unpacks the files and passes it on; pid 2 takes its streams and limits and
 *   becomes the program
 *   (an interpreter may be let go ahead as well, to the opening of a source file that is not there yet: warm.h)
 *   init waits for pid 2, ends whatever is left in the box, reports, ends
 *
 * Why an init: a program that is pid 1 itself would not die of its own signals, and its orphans would have no parent.
 * Each side is a table of steps; the order is the security argument (docs/design/SANDBOX.md explains each line).
 * A failed step is two numbers through the report pipe; the slot finds the words (init_step_name).
 */
#pragma once
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/archive.h"
#include "sandbox/protocol.h"
#include "sandboxd/cgroup.h"

/* Inodes of a box: enough for a compiler, small enough that their kernel memory is bounded. */
#define BOX_INODES 16384
/* Who the program believes to be. */
#define UID_INSIDE 1000

/* What is known before there is a request. */
struct box_plan {
    /* Put in words by the slot: the code that does it is many pages, which each process of a box would have to map. */
    char box_options[96]; /* of the box's tmpfs */
    char id_map[48];      /* of its user namespace */
    char exec_cached_at[ARCHIVE_NAME_MAX +
                        8]; /* where the program on the shelf (shelf.h) is laid out; empty: it is not */
    const struct cgroup_run *run;
    const struct sock_fprog *filter;        /* of init; and of the program, unless `refusals` is there */
    const struct sock_fprog *strict_filter; /* of the program, where `refusals` is there */
    int notify;    /* socket that takes the listener of refused calls; or -1: they answer EPERM */
    int exec_stub; /* its executable */
    int probe;     /* executable that takes the program's place (a self-test), or -1 */
    int mount_ns;
    int network;
    int line;     /* init's end of the socket (SOCK_SEQPACKET) that brings the order */
    int inner[2]; /* the socket by which init passes it on: init's end, the program's */
    int report;   /* write end, close-on-exec */
    uid_t uid;    /* user and group of the program, outside its user namespace */
};

/*
 * The order: what to run, with the descriptors stdin, stdout, stderr, and then the bundle and the file to pack into
 * where the flags (SLOT_HAS_ARCHIVE, SLOT_KEEP_FILES) say so.  Of `strings` only what is used travels.
 */
struct exec_request {
    struct limits limits;
    uint32_t flags;
    uint32_t words, variables; /* of argv and env, whose strings have been checked to end */
    uint32_t strings_len;
    char source[SLOT_SOURCE_BYTES];
    char strings[SLOT_STRINGS_BYTES];
};
#define EXEC_REPORTS_START 0x10000u /* in the flags: STARTED is wanted; else the order's own time is near enough */
#define EXEC_PRESTART 0x40000u      /* first of two orders: start, and stand at the opening of `source` */
#define EXEC_FEED 0x80000u          /* the second, with the bundle alone: the source is here */
#define EXEC_NO_CGROUP 0x20000u     /* limits of memory and processes by rlimit, the best there is */
#define EXEC_REQUEST_HEAD_BYTES offsetof(struct exec_request, strings)

enum init_report_kind { INIT_FAILED = 1, INIT_STARTED, INIT_NOT_EXECUTABLE, INIT_ENDED };

struct init_report {
    uint32_t kind;
    uint32_t step;       /* FAILED: for init_step_name */
    int32_t os;          /* FAILED, NOT_EXECUTABLE */
    int32_t wait_status; /* ENDED */
    uint64_t begun_us;   /* STARTED: by CLOCK_MONOTONIC */
    uint64_t wall_us;    /* ENDED, of the program; nothing of the box lives then but init */
    uint64_t cpu_us;     /* by rusage, for hosts without cgroups */
    uint64_t memory_bytes;
    uint32_t files_kept;
    int32_t pack_os; /* errno of keeping the files, 0 if fine or not asked */
};

/* In the child that the slot cloned: never returns. */
_Noreturn void init_process_main(const struct box_plan *plan);

const char *init_step_name(uint32_t step);
/* What helps, where the kernel's answer does not say it; "" otherwise. */
const char *init_step_remedy(uint32_t step, int os);
