/*
 * privileges: the order of the calls matters.  Those that need a capability come before the change of the user ID.
 */
#include "daemon/privileges.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/seccomp_self.h"
#include "sandbox/protocol.h"

#define PROGRAM_IDS (SLOTS_MAX * 1000u) /* as sandboxd numbers them */

/* True if no account, no group and no program of the sandbox has this ID. */
static bool is_free(uid_t id, const struct config *config)
{
    bool is_program = id >= config->uid_base && id - config->uid_base < PROGRAM_IDS;

    return !is_program && getpwuid(id) == NULL && getgrgid(id) == NULL;
}

/* Even without an account, evalx shares its user ID with no other service. */
static int find_free_id(const struct config *config, struct identity *ret, struct error *err)
{
    for (uid_t id = IDENTITY_ID_LAST; id >= IDENTITY_ID_FIRST; id--)
        if (is_free(id, config)) {
            *ret = (struct identity){ .uid = id, .gid = id };
            (void)snprintf(ret->name, sizeof ret->name, "%u", (unsigned)id);
            return 0;
        }
    return error_set(
        err, ERROR_SETUP, 0,
        "user: user \"%s\" does not exist, and the IDs %u to %u are taken (useradd --system %s creates it)",
        config->user, IDENTITY_ID_FIRST, IDENTITY_ID_LAST, config->user);
}

int identity_find(const struct config *config, struct identity *ret, struct error *err)
{
    const struct passwd *user = getpwnam(config->user);

    if (user == NULL && config->user_source != CONFIG_DEFAULT)
        return error_set(err, ERROR_SETUP, 0, "user: user \"%s\" does not exist (useradd --system %s creates it)",
                         config->user, config->user);
    if (user == NULL)
        return find_free_id(config, ret, err);
    if (user->pw_uid == 0 || user->pw_gid == 0)
        return error_set(err, ERROR_SETUP, 0, "user: \"%s\" is root or has root's group; evalx must not serve as root",
                         user->pw_name);
    *ret = (struct identity){ .uid = user->pw_uid, .gid = user->pw_gid };
    (void)snprintf(ret->name, sizeof ret->name, "%s", user->pw_name);
    return 0;
}

static int drop_capabilities(struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    if (syscall(SYS_capset, &header, none) < 0)
        return error_set(err, ERROR_SETUP, errno, "drop capabilities");
    return 0;
}

static int drop_bounding_set(struct error *err)
{
    if (geteuid() != 0)
        return 0; /* without the capability to drop any; no_new_privs prevents gaining one */
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return error_set(err, ERROR_SETUP, errno, "drop capability %lu from the bounding set", capability);
    return 0;
}

static int verify(const struct identity *identity, struct error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = { 0 };
    uid_t uids[3];
    gid_t gids[3];

    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0 ||
        syscall(SYS_capget, &header, held) < 0)
        return error_set(err, ERROR_SETUP, errno, "read own privileges");
    for (int i = 0; i < 3; i++)
        if (uids[i] != identity->uid || gids[i] != identity->gid)
            return error_set(err, ERROR_BUG, 0, "user or group did not change to %s", identity->name);
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        if ((held[i].effective | held[i].permitted | held[i].inheritable) != 0)
            return error_set(err, ERROR_BUG, 0, "capabilities remain after dropping them");
    if (getgroups(0, NULL) != 0)
        return error_set(err, ERROR_BUG, 0, "groups remain after dropping them");
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
        return error_set(err, ERROR_BUG, 0, "the process can still become root");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return error_set(err, ERROR_BUG, 0, "no_new_privs is not set");
    return 0;
}

int privileges_drop(const struct identity *identity, struct error *err)
{
    assert(identity->uid != 0 && identity->gid != 0);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return error_set(err, ERROR_SETUP, errno, "clear ambient capabilities");
    if (drop_bounding_set(err) < 0)
        return -1;
    if (setgroups(0, NULL) < 0 || setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        return error_set(err, ERROR_SETUP, errno, "become user %s (EVALX_USER selects another)", identity->name);
    if (drop_capabilities(err) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(err, ERROR_SETUP, errno, "set no_new_privs");
    return verify(identity, err);
}

int privileges_confine(struct error *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_set(err, ERROR_SETUP, errno, "set no_new_privs and clear the dumpable flag");
#ifndef __SANITIZE_ADDRESS__
    return seccomp_self_confine(err);
#else
    return 0; /* the filter denies system calls that the leak checker makes at the end */
#endif
}

void privileges_allow_leak_check(void)
{
#ifdef __SANITIZE_ADDRESS__
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
}
