/*
 * privileges: giving up root, for good, and the folder that the user one becomes can write.
 */
#pragma once
#include <sys/types.h>

#include "config/config.h"

struct identity {
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* config->user, or "nobody" where there is no such user and none was asked for.  Never root. */
int identity_find(const struct config *config, struct identity *ret, struct error *err);

/*
 * As root: makes `folder` (0700) with whatever is missing above it, and gives it to the identity.  A folder that
 * already belongs to root is given over, nothing in it is; one that belongs to somebody else is an error.
 */
int data_folder_prepare(const char *folder, const struct identity *identity, struct error *err);

/*
 * Becomes the identity: no group, no capability, no way back, no new privileges by exec.  Verified before it returns 0.
 * Call it before threads.
 */
int privileges_drop(const struct identity *identity, struct error *err);

/*
 * What also one who never was root gives up: new privileges by exec, being traced, and (by seccomp) starting programs
 * and the parts of the kernel evalx never uses.  Privileges have been dropped; call it before threads.
 */
int privileges_confine(struct error *err);

/* To be called last of all.  A leak checker looks at its process by ptrace; without a sanitizer it does nothing. */
void privileges_allow_leak_check(void);
