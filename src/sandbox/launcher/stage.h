/*
 * stage: the two processes of a run, from clone to exec.
 *
 *   slot process (root) --clone3: pid, ipc, uts namespaces--> init, pid 1 of the box
 *   init: enters the image, mounts the box, unpacks files --clone3 (v2: into the run's cgroup)--> the program, pid 2
 *   init: gives up everything, waits for pid 2, reports, ends; the kernel then ends all that is left in the box
 *
 * Why an init: a program that is pid 1 itself would not die of its own signals, and its orphans would have no parent.
 * Each side is a table of steps; the order is the security argument (docs/SANDBOX.md explains each line).
 * A failed step is two numbers through the report pipe; the slot finds the words (stage_step_name).
 */
#pragma once
#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/launcher/cgroup.h"
#include "sandbox/protocol.h"

/* Inodes of a box: enough for a compiler, small enough that their kernel memory is bounded. */
#define BOX_INODES 16384

struct stage_plan {
    char *const *argv;
    char *const *env;
    const struct slot_limits *limits;
    const struct cgroup_run *run;
    const struct sock_fprog *filter;        /* of init; and of the program, unless `refusals` is there */
    const struct sock_fprog *strict_filter; /* of the program, where `refusals` is there */
    int refusals; /* socket that takes the listener of refused calls; or -1: they answer EPERM */
    int probe;    /* executable that takes the program's place (a self-test), or -1 */
    int mount_ns;
    int stdio[SLOT_FD_BASE_COUNT_];
    int bundle;      /* to unpack, or -1 */
    int keep;        /* to pack into, or -1 */
    int report;      /* write end, close-on-exec */
    uid_t uid;       /* user and group of the program, outside its user namespace */
};

enum stage_report_kind { STAGE_FAILED = 1, STAGE_STARTED, STAGE_NOT_EXECUTABLE, STAGE_ENDED };

struct stage_report {
    uint32_t kind;
    uint32_t step;       /* FAILED: for stage_step_name */
    int32_t os;          /* FAILED, NOT_EXECUTABLE */
    int32_t wait_status; /* ENDED */
    uint64_t begun_us;   /* STARTED: by CLOCK_MONOTONIC */
    uint64_t wall_us;
    uint64_t cpu_us;     /* by rusage, for hosts without cgroups */
    uint64_t memory_bytes;
    uint32_t files_kept;
    int32_t pack_os;     /* errno of keeping the files, 0 if fine or not asked */
};

/* In the child that slot.c cloned: never returns. */
_Noreturn void stage_init(const struct stage_plan *plan);

const char *stage_step_name(uint32_t step);
