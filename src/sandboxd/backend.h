/*
 * backend: the two ways in which a slot runs a program, and what the slot offers them.
 *
 *   native   (backend_native.c)   clones the run's init into namespaces (init_process.h)
 *   isolate  (backend_isolate.c)  starts the isolate command and reads its meta file
 *
 * slot.c does the rest for both: it receives, checks and clamps the request, owns the run's cgroup, watches the clocks
 * and the worker, decides whether a limit was exceeded, and answers.  A backend keeps state of its own in its source
 * file, because a slot is a process.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "sandbox/protocol.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/network_memory.h"
#include "sandboxd/init_process.h"
#include "sandboxd/request_check.h"
#include "sandboxd/slot.h"
#include "sandboxd/wait_time.h"

/* How long init may take to make the box and unpack files, and afterwards to pack them.  The program's clock is off. */
#define INIT_GRACE_US 10000000u

/* What a backend sees of the slot. */
struct slot {
    const struct slot_settings *settings;
    int socket;              /* to the worker */
    struct cgroup_run group; /* of the next run; from start to finish, of the current one */
    /* The current run: */
    uint64_t files_bytes;           /* memory of the files that are unpacked; the limit of memory is lowered by it */
    struct slot_request request;    /* checked, its limits clamped */
    char *words[REQUEST_WORDS_MAX]; /* argv, NULL, env, NULL: in the request's strings */
    struct image *image;
};

/* A run from start to finish. */
struct active_run {
    pid_t init; /* the run's first process, a child of the slot */
    int pidfd;
    int report;     /* read end of the pipe for struct init_report */
    int notify;     /* receives the listener for denied syscalls, then is it; -1: there is none */
    bool listening; /* notify is the listener */
    bool started;   /* begun_us is the program's start, not the box's */
    uint64_t begun_us;
    unsigned kills; /* how often `kill` has been called */
    bool reaped;
    clockid_t init_clock;               /* native: CPU time of init, which works for the run outside its group */
    uint64_t init_us, init_us_at_begin; /* by this clock, when it was last read */
    int32_t exec_os;                    /* errno of a failed execve, else 0 */
    struct wait_time wait;
    uint64_t next_sample_us; /* of `wait` and `network` */
    struct network_memory network;
    bool lacks_memory; /* its sockets exceeded the limit */
    struct run_stats stats;
    struct init_report failure, end; /* kind 0: none has arrived */
};

struct backend {
    /* Once, when the slot's process begins. */
    int (*setup)(struct slot *slot, struct error *err);
    /*
     * Before the first run and after the answer to each: slot->group is a new group.  Prepares what it can for the next
     * run.  Best effort: if it fails, start does the same again and reports the error.
     */
    void (*prepare)(struct slot *slot);
    /* Starts the checked request.  Fills *run from init to begun_us.  -1: *reply has the error. */
    int (*start)(struct slot *slot, const int fds[], struct active_run *run, struct slot_reply *reply);
    /* Ends the run: init exits soon afterwards.  Repeated calls use more force. */
    void (*kill)(struct active_run *run);
    uint64_t kill_retry_us; /* how long to wait before kill is called again */
    /* CPU time of the run, given that of its group. */
    uint64_t (*cpu_us)(struct active_run *run, uint64_t group_us);
    /*
     * Init has exited or has reported the end of the run.  Kills what may be left of the run besides init, and fills
     * run->stats, or *reply with the error.
     */
    void (*finish)(struct slot *slot, struct active_run *run, struct slot_reply *reply);
    /* After the answer, before prepare: lets the run's init exit.  NULL: init has exited by itself. */
    void (*release)(void);
    /* After prepare: removes what the run may have left in state that the slot keeps.  NULL: there is none. */
    void (*reset)(struct slot *slot);
};

extern const struct backend backend_native, backend_isolate;

/* ---- for backends ---- */

uint64_t slot_now_us(void);
uint64_t slot_clock_us(clockid_t clock); /* 0 if the clock cannot be read */
/* Stores an error in *reply.  Returns -1. */
int slot_fail(struct slot_reply *reply, int os, const char *text);
int slot_fail_error(struct slot_reply *reply, const struct error *err);
/* Packing the run's files failed.  Too many or too large files are the program's doing, all else is an error. */
void slot_fail_pack(struct slot_reply *reply, int os);
/* Replaces slot->group by an unused one, for a run that cannot use the box prepared in it. */
int slot_renew_group(struct slot *slot, struct error *err);
/* Reads one struct init_report.  False if there is none. */
bool slot_read_report(struct active_run *run);
/* Has the slot killed the run, for a limit or on request? */
bool slot_killed_run(const struct run_stats *stats);
/* CPU time that the run has used so far, with what is done for it outside its group. */
uint64_t slot_cpu_us(const struct slot *slot, struct active_run *run);
/* The run's memory does not suffice to begin it.  Returns -1. */
int slot_fail_memory(struct active_run *run);
/* Waits for init, once.  Returns its wait status, 0 if it has been reaped before. */
int slot_reap(struct active_run *run);
/* The optional descriptors of a request, or -1. */
int slot_archive_fd(const struct slot *slot, const int fds[]);
int slot_keep_fd(const struct slot *slot, const int fds[]);
