/* sandbox_internal: shared by sandbox.c (the control connection) and slot_client.c (the slots' connections). */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "sandbox/protocol.h"
#include "sandbox/sandbox.h"

struct sandbox {
    pthread_mutex_t lock; /* one request at a time on the control socket; also guards images */
    int control;
    pid_t launcher;
    _Atomic unsigned restarts;
    unsigned cgroup_version;
    char backend[CONTROL_TEXT_BYTES]; /* as described by the launcher */
    bool is_native;
    bool denied_syscalls_kill, prestart;
    uint32_t sequence;                            /* of the last request */
    char images[IMAGES_MAX][CONTROL_IMAGE_BYTES]; /* requested so far; repeated when the launcher was restarted */
    size_t images_len;
    bool images_known; /* the launcher was asked to add all of them */
};

/* Asks the launcher for a slot; it replaces an open slot of the same number.  The caller owns *ret_socket. */
int sandbox_request_slot(struct sandbox *sandbox, uint32_t slot_number, int *ret_socket, struct error *err);
