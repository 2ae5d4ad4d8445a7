/*
 * privileges: the user that evalx runs as; permanently drops root.
 */
#pragma once
#include <sys/types.h>

#include "config/config.h"

struct identity {
    uid_t uid;
    gid_t gid;
    char name[64];
};

/*
 * Without the default user, evalx runs as the last of these user and group IDs that no account has.  The range belongs
 * to nothing else: containers of systemd end at 1,879,048,191, programs of the sandbox begin at 2,000,000,000.
 */
#define IDENTITY_ID_FIRST 1999999936u
#define IDENTITY_ID_LAST 1999999999u

/* Looks up config->user.  If it is the default and does not exist: a free ID.  It is an error if the user is root. */
int identity_find(const struct config *config, struct identity *ret, struct error *err);

/*
 * Switches to the identity: no supplementary groups, no capabilities, no way back, no new privileges by exec.  Verifies
 * all of that before it returns 0.  Call it before threads.
 */
int privileges_drop(const struct identity *identity, struct error *err);

/*
 * Confines the process, also one that never was root: no new privileges by exec, not traceable, and a seccomp filter
 * that denies starting programs and kernel features that evalx never uses.  Call it after dropping root, before
 * threads.
 */
int privileges_confine(struct error *err);

/* Call it last.  It lets a leak checker trace the process; without a sanitizer it does nothing. */
void privileges_allow_leak_check(void);
