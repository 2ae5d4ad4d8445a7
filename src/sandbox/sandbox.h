/*
 * sandbox: runs one program with limits and returns its output and statistics.
 *
 *   sandbox_start       forks the supervisor.  It, the launcher and the slots are the only processes that keep root.
 *                       Call it first: as root, before any thread is started and before privileges are dropped.
 *   sandbox_image       makes an image (a read-only root) available to runs.
 *   sandbox_slot_open   opens a slot: a process of the root side that runs one program after another.  One thread at a
 *                       time uses a slot; different slots are independent.
 *   sandbox_run         runs one program from start to end in a fresh box.
 *
 * When sandbox_run returns, nothing of the run is left.  A program that fails is described by its statistics and is no
 * error.  An error (ERROR_SANDBOX) means that the box could not be built or that the slot broke.  The slot is then
 * replaced if possible, and the run may be tried again.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "run/run.h"

struct sandbox;
struct sandbox_slot;

struct sandbox_settings {
    const char *images_folder;
    uint64_t uid_base; /* first of the user ids that programs run as */
    bool insecure_no_cgroup;
    const char *backend; /* "native" (also NULL), or "isolate": the isolate 2.x command makes the boxes */
    const char *isolate; /* absolute path of the isolate command; NULL or "": searched on PATH */
    bool prestart;       /* interpreters may be started before their program arrives (prestart_source) */
    bool pin;            /* pins the runs of each slot to one of this process's processors */
    bool
        denied_syscalls_kill; /* a denied system call ends the run (run_stats.denied_syscall) instead of giving EPERM */
};

/* On success the launcher runs and this host can sandbox; on failure *err names what is missing and the remedy. */
int sandbox_start(const struct sandbox_settings *settings, struct sandbox **ret, struct error *err);
/* Makes the image usable by slots opened from now on; "host" is this machine's own /usr.  Repeating it is harmless. */
int sandbox_image(struct sandbox *sandbox, const char *name, struct error *err);
/* "v2", "v1" or "none". */
const char *sandbox_cgroup(const struct sandbox *sandbox);
/* "native", or the version and path of isolate. */
const char *sandbox_backend(const struct sandbox *sandbox);
bool sandbox_is_native(const struct sandbox *sandbox);
/*
 * How often the launcher has died and was started again.  Its death ends all runs: if the number changed during a run
 * that failed, the failure says nothing about the program.
 */
unsigned sandbox_restarts(const struct sandbox *sandbox);
/* True if the whole root side has ended.  Nothing can start it again but a new process that is root. */
bool sandbox_is_gone(const struct sandbox *sandbox);
/* Ends all programs, the slots and the launcher, and removes their cgroups.  NULL is allowed. */
void sandbox_stop(struct sandbox *sandbox);

int sandbox_slot_open(struct sandbox *sandbox, uint32_t slot_number, struct sandbox_slot **ret, struct error *err);
void sandbox_slot_close(struct sandbox_slot *slot);

struct run_request {
    const char *image;
    enum run_class class;
    char *const *argv; /* argv[0] is a path inside the image or the box; NULL-terminated */
    char *const *env;  /* the whole environment; NULL-terminated */
    struct limits limits;
    enum run_network network;    /* with isolate a run has the loopback in any case */
    struct text input;           /* stdin; borrowed */
    int archive_fd;              /* files to unpack into /box (archive.h), or -1; the caller keeps it */
    const char *prestart_source; /* the archive's only file, if the program reads it whole before running it; or NULL */
    bool self_test;              /* runs the built-in probe instead of argv; see self_test.h */
    bool keep_files;             /* return the files of /box if the program exits with code 0 */
    uint64_t keep_bytes_max;     /* of all these files together; 0: as many as the box holds */
};

struct run_outcome {
    struct run_stats stats;
    struct buf output, errors; /* at most limits.output_bytes each */
    struct buf explanation;    /* why the run ended with SIGSYS; else empty */
    bool output_cut, errors_cut;
    bool was_prestarted; /* the interpreter had been started before the request arrived */
    int archive_fd;      /* with keep_files: the files of /box, owned by the caller; otherwise -1 */
};

/* Blocks until the run has ended.  After success the caller releases *ret with run_outcome_done. */
int sandbox_run(struct sandbox_slot *slot, const struct run_request *request, struct run_outcome *ret,
                struct error *err);
void run_outcome_done(struct run_outcome *outcome);

/* From any thread: ends the slot's current run, if any; sandbox_run then returns with stats.cancelled. */
void sandbox_cancel(struct sandbox_slot *slot);
