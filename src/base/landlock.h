/* landlock: whether the kernel has as much of Landlock as evalx needs.  libc has no function for it. */
#pragma once
#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Without LANDLOCK_ACCESS_FS_REFER, which came with Linux 5.19, a ruleset forbids renaming between folders. */
#define LANDLOCK_ABI_NEEDED 2

static inline bool landlock_is_available(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= LANDLOCK_ABI_NEEDED;
}
