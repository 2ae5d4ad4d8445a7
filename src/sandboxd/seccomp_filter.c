/*
 * seccomp_filter: takes away the kernel code behind calls that no program here needs, so that a bug in it cannot be
 * reached.  Namespaces, capabilities and the cgroup already prevent the effects of most of these calls.
 *
 * A call of a foreign architecture or of x32 goes to a listener, and the slot ends the run: no runtime makes one, and
 * its number would mean another call.  So do, with denied_syscalls=kill, the calls that no honest program makes.  A
 * filter that kills by itself would end only one process, and its parent could hide that.
 */
#include "sandboxd/seccomp_filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandboxd/seccomp_program.h"
#include "sandboxd/seccomp_table.h"

int seccomp_filters_build(bool pin, struct seccomp_filters *ret, struct error *err)
{
    const uint32_t eperm = SECCOMP_RET_ERRNO | EPERM, notify = SECCOMP_RET_USER_NOTIF;
    const uint32_t every = pin ? 0 : FOR_UNPINNED, init = every | FOR_NATIVE | FOR_INIT;
    const uint32_t slot = every | FOR_ALL | FOR_LOOPBACK | FOR_INIT | FOR_SLOT;
    const struct seccomp_program_spec of_slot = { .who = slot, .deny = eperm, .foreign = notify };
    const struct seccomp_program_spec of_init = { init, slot, eperm, SECCOMP_RET_ALLOW };
    const struct seccomp_program_spec of_whole_init = { .who = init, .deny = eperm, .foreign = eperm };
    memset(ret, 0, sizeof *ret);
    if (seccomp_program_build(&of_slot, &ret->slot, err) < 0 || seccomp_program_build(&of_init, &ret->init, err) < 0 ||
        seccomp_program_build(&of_whole_init, &ret->whole_init, err) < 0)
        return -1;
    for (uint32_t class = 0; class < RUN_CLASS_COUNT_; class ++)
        for (int loopback = 0; loopback < 2; loopback++) {
            uint32_t who = every | 1u << class | (loopback ? FOR_LOOPBACK : 0);
            const struct seccomp_program_spec of_program = { who, slot, eperm, SECCOMP_RET_ALLOW };
            const struct seccomp_program_spec of_kill = { .who = who, .deny = notify, .foreign = notify };
            if (seccomp_program_build(&of_program, &ret->program[class][loopback], err) < 0 ||
                seccomp_program_build(&of_kill, &ret->kill[class][loopback], err) < 0)
                return -1;
        }
    return 0;
}

int seccomp_filter_load(const struct sock_fprog *program)
{
    /* SPEC_ALLOW: leaves speculation on.  The filter is no defence against side channels inside one process. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program) < 0 ? errno : 0;
}

int seccomp_filter_load_notify(const struct sock_fprog *program, int *ret_listener)
{
    unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    if (listener < 0)
        return errno;
    *ret_listener = (int)listener;
    return 0;
}

int seccomp_listener_receive(int listener, uint32_t *ret_number, uint32_t *ret_arch)
{
    /* Room for the larger structure of a newer kernel, which must be zeroed. */
    union {
        struct seccomp_notif call;
        char room[512];
    } received = { .room = { 0 } };
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &received) < 0)
        return -1;
    *ret_number = (uint32_t)received.call.data.nr;
    *ret_arch = received.call.data.arch;
    return 0;
}

bool seccomp_is_foreign(uint32_t number, uint32_t arch)
{
    return arch != seccomp_arch_native() || (number >= SECCOMP_X32_FIRST && number < SECCOMP_X32_END);
}
