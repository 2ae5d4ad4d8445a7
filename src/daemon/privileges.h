/*
 * privileges: permanently drops root; prepares the data folder for the user to switch to.
 */
#pragma once
#include <sys/types.h>

#include "config/config.h"

struct identity {
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* Looks up config->user.  If it is the default and does not exist: "nobody".  It is an error if the user is root. */
int identity_find(const struct config *config, struct identity *ret, struct error *err);

/*
 * As root: creates `folder` (0700) and its missing parents, and changes its owner to the identity.  An existing folder
 * that root owns also changes its owner, its content does not.  A folder of another user is an error.
 */
int data_folder_prepare(const char *folder, const struct identity *identity, struct error *err);

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
