/*
 * sandbox: all that a caller sees of it.  Boxes are made ahead (one a slot), and each run in a box is fresh.
 *
 *   sandbox_start   forks the launcher, the only part that stays root.  Call it first of all: as root, before any
 *                   thread, before privileges are dropped.
 *   sandbox_image   names an image (a read-only root) runs may use.
 *   sandbox_slot_open        a prepared slot.  One thread at a time uses a box; different boxes are independent.
 *   sandbox_run         one program, start to end, with limits; returns the kernel's facts about it.
 *
 * Nothing of a run is left when sandbox_run returns.  A program's failure is a fact, not an error; an error
 * (ERROR_SANDBOX) means that the box broke, has been repaired if it could be, and the run may be tried again.
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
    uint64_t uid_base;
    bool insecure_no_cgroup;
    const char *driver;  /* "native" (also NULL), or "isolate": the isolate 2.x command makes the boxes */
    const char *isolate; /* its absolute path; NULL or "": it is looked for on PATH */
    bool warm;           /* interpreters may be started before their program comes (run_request.prestart_source) */
    bool pin;            /* the runs of a slot have one processor: slots take turns in those that the caller may use */
    bool
        denied_syscalls_kill; /* a refused system call ends the run (facts.denied_syscall), instead of answering EPERM */
};

/* On success the launcher runs and this host can sandbox; on error *err says what is missing and the remedy. */
int sandbox_start(const struct sandbox_settings *settings, struct sandbox **ret, struct error *err);
/* Makes the image usable by boxes opened from now on.  "host" is this machine's own /usr. Calling twice is fine. */
int sandbox_image(struct sandbox *sandbox, const char *name, struct error *err);
/* "v2", "v1" or "none". */
const char *sandbox_cgroup(const struct sandbox *sandbox);
/* "native", or which isolate it is and where. */
const char *sandbox_backend(const struct sandbox *sandbox);
bool sandbox_is_native(const struct sandbox *sandbox);
/*
 * How often the launcher has died and been started again.  Its death ends the runs of all boxes: where this number has
 * changed during a run that failed, the failure says nothing about the program.
 */
unsigned sandbox_restarts(const struct sandbox *sandbox);
/* Ends every box's program, the slots and the launcher, and removes their cgroups.  NULL is fine. */
void sandbox_stop(struct sandbox *sandbox);

int sandbox_slot_open(struct sandbox *sandbox, uint32_t slot_number, struct sandbox_slot **ret, struct error *err);
void sandbox_slot_close(struct sandbox_slot *slot);

struct run_request {
    const char *image;
    enum run_class class;
    char *const *argv; /* argv[0] is a path inside the image or the box; NULL-terminated */
    char *const *env;  /* NULL-terminated; nothing of ours is added */
    struct limits limits;
    struct text input;           /* stdin; borrowed */
    int archive_fd;              /* files to put into /box (see bundle.h), or -1; stays the caller's */
    const char *prestart_source; /* the bundle's one file, if all of it is read before any of it runs; or NULL */
    bool self_test;              /* evalx's own probe takes the program's place; see self_test.h */
    bool keep_files;             /* give back what /box holds at the end, if the program ended with exit code 0 */
};

struct run_outcome {
    struct run_stats stats;
    struct buf output, errors; /* cut at limits.output_bytes */
    bool output_cut, errors_cut;
    bool was_prestarted; /* its interpreter had started before the request came */
    int archive_fd;      /* with keep_files: /box as a bundle, else -1; the caller's to close */
};

/* Blocks until the run has ended.  On success the caller ends *ret with run_outcome_done. */
int sandbox_run(struct sandbox_slot *slot, const struct run_request *job, struct run_outcome *ret, struct error *err);
void run_outcome_done(struct run_outcome *outcome);

/* From any thread: ends the run that is going on in the box, if any; sandbox_run returns with facts.cancelled. */
void sandbox_cancel(struct sandbox_slot *slot);
