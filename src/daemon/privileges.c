/*
 * privileges: the order of the calls matters.  Those that need a capability come before the change of the user ID.
 */
#include "daemon/privileges.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/seccomp_self.h"

int identity_find(const struct config *config, struct identity *ret, struct error *err)
{
    const struct passwd *user = getpwnam(config->user);

    if (user == NULL && config->user_source != CONFIG_DEFAULT)
        return error_set(err, ERROR_SETUP, 0, "user: user \"%s\" does not exist (useradd --system %s creates it)",
                         config->user, config->user);
    if (user == NULL)
        user = getpwnam("nobody");
    if (user == NULL)
        return error_set(err, ERROR_SETUP, 0, "user: neither user \"%s\" nor \"nobody\" exists", config->user);
    if (user->pw_uid == 0 || user->pw_gid == 0)
        return error_set(err, ERROR_SETUP, 0, "user: \"%s\" is root or has root's group; evalx must not serve as root",
                         user->pw_name);
    *ret = (struct identity){ .uid = user->pw_uid, .gid = user->pw_gid };
    (void)snprintf(ret->name, sizeof ret->name, "%s", user->pw_name);
    return 0;
}

/* The parents belong to root with mode 0755, so that only root can replace the data folder. */
static int create_parents(const char *folder, struct error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path)
        return error_set(err, ERROR_SETUP, ENAMETOOLONG, "data folder");
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return error_set(err, ERROR_SETUP, errno, "create folder %s", path);
        *slash = '/';
    }
    return 0;
}

int data_folder_prepare(const char *folder, const struct identity *identity, struct error *err)
{
    struct stat status;

    if (create_parents(folder, err) < 0)
        return -1;
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return error_set(err, ERROR_SETUP, errno, "create data folder %s", folder);
    auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERROR_SETUP, errno, "open data folder %s", folder);
    if (fstat(fd, &status) < 0)
        return error_set(err, ERROR_SETUP, errno, "stat data folder %s", folder);
    if (status.st_uid != identity->uid && status.st_uid != 0)
        return error_set(err, ERROR_SETUP, 0, "data folder %s is owned by user %u, not by %s: chown it, or set data",
                         folder, (unsigned)status.st_uid, identity->name);
    if (status.st_uid == 0 && fchown(fd, identity->uid, identity->gid) < 0)
        return error_set(err, ERROR_SETUP, errno, "chown data folder %s to %s", folder, identity->name);
    if (fchmod(fd, 0700) < 0)
        return error_set(err, ERROR_SETUP, errno, "chmod data folder %s", folder);
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
        return error_set(err, ERROR_SETUP, errno, "become user %s", identity->name);
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
