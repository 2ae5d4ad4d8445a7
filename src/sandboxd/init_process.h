/*
 * init_process: the two processes of a run, from clone to exec.
 *
 *   slot (root) --clone3: pid, ipc, uts namespaces--> init, pid 1 of the box
 *   init: enters the image, mounts the box --clone3 (v2: into the run's cgroup)--> the program's process, pid 2
 *   init and pid 2 drop all privileges.  Both wait for a request: init on its socket, pid 2 in the exec stub.
 *                                                                  <- the box may be made ahead up to here (standby.h)
 *   An exec request arrives.  Init unpacks the files and forwards the request; pid 2 takes its streams and limits and
 *   becomes the program.
 *   Init waits for pid 2, kills what is left in the box, reports, and exits.
 *
 * An interpreter may also be started ahead, up to the opening of its source file (prestart.h).
 *
 * Why an init: a program that is pid 1 would not die of its own signals, and its orphans would have no parent.
 *
 * Each of the two processes is a table of steps whose order is the security argument; docs/design/SANDBOX.md explains
 * each step.  A step that fails is reported through a pipe as two numbers, which init_step_name turns into words.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/archive.h"
#include "sandbox/protocol.h"
#include "sandboxd/cgroup.h"

/* Inodes of a box: enough for a compiler, few enough to bound their kernel memory. */
#define BOX_INODES 16384
/* User and group id of the program inside its user namespace. */
#define UID_INSIDE 1000

/* What is known about a box before there is a request. */
struct box_plan {
    /* Formatted by the slot: the code of printf is many pages, which each process of a box would have to map. */
    char tmpfs_options[96];                 /* of the box's tmpfs */
    char id_map[48];                        /* of the user namespace */
    char cached_path[ARCHIVE_NAME_MAX + 8]; /* in the box, of the cached executable (exec_cache.h); "": none */
    const struct cgroup_run *run;
    const struct sock_fprog *init_filter, *program_filter;
    bool has_loopback; /* the program gets a new network, with the loopback interface up */
    bool has_landlock; /* restrict the program's files by landlock.h */
    int notify_socket; /* receives the listener for denied syscalls; -1: they return EPERM */
    int exec_stub;     /* descriptor of its executable */
    int probe;         /* executable that replaces the program in a self-test, or -1 */
    int mount_ns;
    int network_ns;
    int request_socket; /* init's end of the SOCK_SEQPACKET pair on which exec requests arrive */
    int stub_socket[2]; /* the pair on which init forwards a request: init's end, the exec stub's end */
    int report;         /* write end of a pipe, close-on-exec */
    uid_t uid;          /* user and group of the program outside its user namespace */
};

/*
 * What to run.  It carries the descriptors stdin, stdout and stderr, followed by the archive to unpack and the file to
 * pack into if the flags SLOT_HAS_ARCHIVE and SLOT_KEEP_FILES are set.  Only the used part of `strings` is sent.
 */
struct exec_request {
    struct limits limits;
    uint64_t keep_bytes_max;   /* of a slot_request */
    uint32_t flags;            /* of a slot_request, and of the EXEC_ flags below */
    uint32_t words, variables; /* of argv and env; their strings are known to be terminated */
    uint32_t strings_len;
    char source[SLOT_SOURCE_BYTES];
    char strings[SLOT_STRINGS_BYTES];
};
#define EXEC_REPORTS_START 0x10000u /* report INIT_STARTED; without it the time of the request is accurate enough */
#define EXEC_NO_CGROUP 0x20000u     /* limit memory and processes by rlimits, for want of a cgroup */
#define EXEC_PRESTART 0x40000u      /* first of two requests: start, and block at the opening of `source` */
#define EXEC_FEED 0x80000u          /* second of two, with the archive alone: it holds the source */
#define EXEC_REQUEST_HEAD_BYTES offsetof(struct exec_request, strings)

enum init_report_kind { INIT_FAILED = 1, INIT_STARTED, INIT_NOT_EXECUTABLE, INIT_ENDED };

struct init_report {
    uint32_t kind;
    uint32_t step;       /* FAILED: for init_step_name */
    int32_t os;          /* FAILED, NOT_EXECUTABLE: errno */
    int32_t wait_status; /* ENDED */
    uint64_t begun_us;   /* STARTED: by CLOCK_MONOTONIC */
    uint64_t wall_us;    /* ENDED: of the program.  Only init is left in the box then. */
    uint64_t cpu_us;     /* ENDED: by rusage, for hosts without cgroups; so is memory_bytes */
    uint64_t memory_bytes;
    uint32_t files_kept;
    int32_t pack_os; /* ENDED: errno of packing the files, 0 if they were packed or not asked for */
};

/* Runs in the child that the slot cloned.  Never returns. */
_Noreturn void init_process_main(const struct box_plan *plan);

/* In the program's process: reports that a step of child_setup.c failed, and exits. */
_Noreturn void init_report_child_failure(int report_fd, uint32_t step, int os);

const char *init_step_name(uint32_t step);
/* Is it a step of the program's process, which is in the run's group? */
bool init_step_is_in_group(uint32_t step);
/* Advice to the operator where the errno alone does not explain the failure; "" otherwise. */
const char *init_step_remedy(uint32_t step, int os);
