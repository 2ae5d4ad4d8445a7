/*
 * backend: the two ways in which a slot runs a program, and what they share.
 *
 *   native   (backend_native.c)   the slot clones the run's first process into namespaces that stage.c furnishes.
 *   isolate  (backend_isolate.c)  the slot starts the isolate command, and reads its meta file.
 *
 * slot.c does all the rest for both: it takes the request, checks and clamps it, keeps the run's cgroup, watches the
 * clocks and the worker, and answers.  So streams, limits of output, cancelling and repair are the same.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/protocol.h"
#include "sandboxd/cgroup.h"
#include "sandboxd/exec_cache.h"
#include "sandboxd/init_process.h"
#include "sandboxd/prestart.h"
#include "sandboxd/request_check.h"
#include "sandboxd/slot.h"
#include "sandboxd/standby.h"

#define LEFTOVERS_MAX 16
/* First processes of answered runs that have not ended yet: the kernel takes its time with their mounts. */
#define RETIRED_MAX 8
/* How long a run's first process may take before and after the program: to unpack and pack.  Its clock stands. */
#define INIT_GRACE_US 10000000u

struct slot {
    const struct slot_settings *settings;
    const struct backend *backend;
    int socket;
    uint64_t runs;
    uint64_t groups;
    unsigned processors;
    uint64_t memory_max; /* bytes a run gets, at most */
    struct cgroup_runs cgroup_runs;
    struct cgroup_run next;    /* made ahead; then of the run */
    int network, sockets;      /* native: the namespace of all its runs, and how many sockets are in it */
    unsigned sockets_at_first; /* native: counted there before the first run */
    int exec_stub;             /* native: the executable */
    bool stands;               /* native: the standing filter is loaded (seccomp_filter.h) */
    struct limits limited;     /* what has been set on it: memory and processes */
    /* native: the box of the next run, in that group, and what the next run is likely to be */
    struct standby standby;
    uid_t standby_uid;
    struct standby_kind likely; /* image NULL: not known */
    struct limits likely_limits;
    struct prestart prestart;                   /* native: whether it is more than that */
    struct prestart_kind last_prestart;         /* of the last request */
    bool likely_prestart;                       /* of the two last, the same */
    struct cgroup_run leftovers[LEFTOVERS_MAX]; /* removed later: the kernel was not done with them */
    size_t leftovers_len;
    pid_t retired[RETIRED_MAX];
    size_t retired_len;
    struct exec_cache exec_cache; /* native */
    struct image *image;          /* of this run */
    struct slot_request request;
    char *words[REQUEST_WORDS_MAX]; /* argv, NULL, env, NULL: in the request's strings */
};

/* One run while it goes on. */
struct active_run {
    pid_t init; /* the run's first process: a child of the slot */
    int pidfd;
    int report; /* read end of what the first process says before the program runs, and at the end */
    int line;   /* native: to init, which ends when it is closed; or -1 */
    int notify; /* where the listener of refused calls will arrive, then the listener; or -1 */
    bool has_listener;
    bool started; /* begun_us is when the program began, not its box */
    uint64_t begun_us;
    unsigned asked_to_end; /* how often */
    bool reaped;
    int32_t exec_os; /* errno of a failed execve, else 0 */
    struct run_stats stats;
    struct init_report failure, end; /* by kind: 0 while there is none */
};

struct backend {
    /* Once, when the slot's process begins; *err stays as it is where all is well. */
    void (*setup)(struct slot *slot, struct error *err);
    /* Before the first run, and after each once it has been answered: the next group stands; makes the rest ready. */
    void (*prepare)(struct slot *slot);
    /* After prepare: nothing of the run that was answered may be left where the next one is to be. */
    void (*reset)(struct slot *slot);
    /* Starts the run whose request has been checked: fills init, pidfd, report and begun_us.  -1 with *reply. */
    int (*start)(struct slot *slot, const int fds[], struct active_run *active_run, struct slot_reply *reply);
    /* Ends the run: soon afterwards init is gone, and with it all others.  May be asked again, then harder. */
    void (*end)(struct active_run *active_run);
    /* How long to wait for that before asking again. */
    uint64_t end_again_us;
    /* CPU time of the run's group that is not the program's; NULL: there is none. */
    uint64_t (*own_cpu_us)(const struct active_run *active_run);
    /* The run has ended; fills watch->facts, or *reply with why there are none. */
    void (*finish)(struct slot *slot, struct active_run *active_run, struct slot_reply *reply);
};

extern const struct backend backend_native, backend_isolate;

/* ---- for drivers ---- */

uint64_t slot_now_us(void);
/* Says in *reply why there are no facts.  Returns -1. */
int slot_refuse(struct slot_reply *reply, int os, const char *text);
/* Takes one struct init_report from watch->report; false when there is none. */
bool slot_hear_report(struct active_run *active_run);
/* Has the slot ended the run, for a limit or because it was told to? */
bool slot_has_ended(const struct run_stats *stats);
/* CPU time of the program so far, by the run's group. */
uint64_t slot_cpu_us(const struct slot *slot, const struct active_run *active_run);
/* Closes the group and removes it, if need be later. */
void slot_remove_later(struct slot *slot, struct cgroup_run *run);
/* Waits for init, once.  Returns its wait status, 0 if it has been waited for. */
int slot_reap(struct active_run *active_run);
/* The descriptors that come with a request only where its flags say so, or -1. */
int slot_archive_fd(const struct slot *slot, const int fds[]);
int slot_keep_fd(const struct slot *slot, const int fds[]);
