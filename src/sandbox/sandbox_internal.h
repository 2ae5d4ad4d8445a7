/* sandbox_internal: what sandbox.c and box.c share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "sandbox/protocol.h"
#include "sandbox/sandbox.h"

struct sandbox {
    pthread_mutex_t lock; /* one question at a time on the control line */
    int control;
    pid_t launcher;
    _Atomic unsigned restarts; /* that had to be started after the first */
    unsigned cgroup_version;
    char driver[CONTROL_TEXT_BYTES]; /* as the launcher says it */
    bool native;
    bool denied_syscalls_kill, warm;
    uint32_t sequence;                            /* of the last question */
    char images[IMAGES_MAX][CONTROL_IMAGE_BYTES]; /* named so far, for a launcher that had to be started again */
    size_t images_len;
};

#define SANDBOX_PATH_BYTES 4096

/*
 * The path of the isolate command where settings->driver is "isolate", "" where it is native.  ERROR_SETUP says what is
 * wrong: an unknown driver, no isolate on PATH, a setting that needs the native driver.
 */
int sandbox_backend_find(const struct sandbox_settings *settings, char ret_path[SANDBOX_PATH_BYTES], struct error *err);

/* Asks the launcher for a slot; *ret_socket is the caller's.  Replaces the slot if it is there. */
int sandbox_open_slot(struct sandbox *sandbox, uint32_t slot, int *ret_socket, struct error *err);
