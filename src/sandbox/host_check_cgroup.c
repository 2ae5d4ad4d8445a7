/*
 * host_check_cgroup: the mounted cgroup hierarchies, their controllers, the right to create groups, and swap.
 *
 * The launcher chooses by the same rule (sandboxd/cgroup_detect.c): v2 if it has memory and pids, else v1 with memory,
 * pids and cpuacct.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/host_check_internal.h"

#define PATH_BYTES 600

struct hierarchy {
    char point[256];
    bool read_only;
};

struct cgroups {
    bool has_v2;
    struct hierarchy v2;
    char v2_controllers[256];
    char own[256];             /* the cgroup of this process in v2 */
    char own_path[PATH_BYTES]; /* its folder */
    bool v1_memory, v1_pids, v1_cpuacct, v1_cpu;
    char v1_memory_point[256];
    bool v1_read_only;
};

/* mountinfo: "36 35 98:0 /root /mnt opts shared:1 - type source superopts" */
static void add_mount(char *line, struct cgroups *all)
{
    char point[256], options[256], type[32], super[512];
    char *tail = strstr(line, " - ");
    if (tail == NULL || sscanf(line, "%*s %*s %*s %*s %255s %255s", point, options) != 2 ||
        sscanf(tail + 3, "%31s %*s %511s", type, super) != 2)
        return;
    bool read_only = host_has_word(options, "ro");
    if (strcmp(type, "cgroup2") == 0 && !all->has_v2) {
        all->has_v2 = true;
        all->v2.read_only = read_only;
        (void)snprintf(all->v2.point, sizeof all->v2.point, "%s", point);
    }
    if (strcmp(type, "cgroup") != 0)
        return;
    bool memory = host_has_word(super, "memory"), pids = host_has_word(super, "pids");
    bool cpuacct = host_has_word(super, "cpuacct");
    if (memory)
        (void)snprintf(all->v1_memory_point, sizeof all->v1_memory_point, "%s", point);
    all->v1_memory |= memory;
    all->v1_pids |= pids;
    all->v1_cpuacct |= cpuacct;
    all->v1_cpu |= host_has_word(super, "cpu");
    all->v1_read_only |= (memory || pids || cpuacct) && read_only;
}

static void find_hierarchies(const struct host_list *list, struct cgroups *all)
{
    char path[PATH_BYTES], line[2048];
    (void)snprintf(path, sizeof path, "%s/proc/self/mountinfo", list->host->root);
    FILE *mounts = fopen(path, "re");
    while (mounts != NULL && fgets(line, sizeof line, mounts) != NULL)
        add_mount(line, all);
    if (mounts != NULL)
        (void)fclose(mounts);
    if (!all->has_v2)
        return;
    (void)snprintf(path, sizeof path, "%s/cgroup.controllers", all->v2.point);
    (void)host_read(list, path, all->v2_controllers, sizeof all->v2_controllers);
    if (!host_line(list, "/proc/self/cgroup", "0::", all->own, sizeof all->own))
        all->own[0] = '\0';
    (void)snprintf(all->own_path, sizeof all->own_path, "%s%s", all->v2.point, all->own);
}

static void check_read_only(struct host_list *list, bool read_only)
{
    if (read_only)
        host_add(list, HOST_MISSING, "cgroup_writable",
                 "docker run --privileged --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw ...",
                 "the cgroup file system is mounted read-only");
}

static void check_delegation(struct host_list *list, const struct cgroups *all)
{
    char path[PATH_BYTES + 32], controllers[256];
    bool at_top = strcmp(all->own, "/") == 0 || all->own[0] == '\0';
    (void)snprintf(path, sizeof path, "%s/cgroup.controllers", all->own_path);
    bool readable = host_read(list, path, controllers, sizeof controllers);
    if (at_top)
        host_add(list, HOST_OK, "cgroup_delegation", NULL,
                 "this process is in the root cgroup and creates its groups there");
    else if (readable && host_has_word(controllers, "memory") && host_has_word(controllers, "pids"))
        host_add(list, HOST_OK, "cgroup_delegation", NULL, "%s has the memory and pids controllers", all->own);
    else
        host_add(list, HOST_WARN, "cgroup_delegation",
                 "sudo systemctl edit evalx, add \"[Service]\" and \"Delegate=yes\", sudo systemctl restart evalx",
                 "%s is not delegated; evalx creates its groups at the root of the hierarchy", all->own);
}

static void check_peak(struct host_list *list, const struct cgroups *all)
{
    char path[PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/memory.peak", all->own_path);
    if (host_exists(list, path) || host_kernel_since(list, 5, 19)) /* the root cgroup has no such file */
        host_add(list, HOST_OK, "memory_peak", NULL, "memory.peak gives the peak memory of a run");
    else
        host_add(list, HOST_WARN, "memory_peak", "install Linux 5.19 or newer (sudo apt install linux-image-amd64)",
                 "no memory.peak: results show no memory use; limits still apply");
}

static void check_v2(struct host_list *list, const struct cgroups *all)
{
    host_add(list, HOST_OK, "cgroup_version", NULL, "v2 at %s", all->v2.point);
    check_read_only(list, all->v2.read_only);
    bool has_cpu = host_has_word(all->v2_controllers, "cpu");
    host_add(list, has_cpu ? HOST_OK : HOST_WARN, "cgroup_controllers",
             "add the parameter \"cgroup_enable=cpu\" to GRUB_CMDLINE_LINUX, sudo update-grub, reboot", "%s%s",
             all->v2_controllers, has_cpu ? "" : "; cpu is missing: a slot with many processes slows the others down");
    check_delegation(list, all);
    check_peak(list, all);
}

static void check_v1(struct host_list *list, const struct cgroups *all)
{
    host_add(list, HOST_WARN, "cgroup_version",
             "add \"systemd.unified_cgroup_hierarchy=1\" to GRUB_CMDLINE_LINUX, sudo update-grub, reboot",
             "v1: it works, but production should use v2, where programs start inside their cgroup");
    check_read_only(list, all->v1_read_only);
    host_add(list, all->v1_cpu ? HOST_OK : HOST_WARN, "cgroup_controllers",
             "sudo mkdir -p /sys/fs/cgroup/cpu && sudo mount -t cgroup -o cpu cgroup /sys/fs/cgroup/cpu",
             "memory, pids and cpuacct%s",
             all->v1_cpu ? ", cpu" : "; cpu is missing: a slot with many processes slows the others down");
}

static void check_none(struct host_list *list, const struct cgroups *all)
{
    bool some = all->has_v2 || all->v1_memory || all->v1_pids || all->v1_cpuacct;
    if (!some) {
        host_add(list, HOST_MISSING, "cgroup_version", "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup",
                 "none is mounted");
        return;
    }
    const char *seen = all->v2_controllers[0] != '\0' ? all->v2_controllers : "none";
    bool memory = host_has_word(all->v2_controllers, "memory") || all->v1_memory;
    bool pids = host_has_word(all->v2_controllers, "pids") || all->v1_pids;
    host_add(list, HOST_MISSING, "cgroup_controllers",
             "add \"cgroup_enable=memory swapaccount=1\" to GRUB_CMDLINE_LINUX, sudo update-grub, reboot",
             "v2 has: %s; v1 has:%s%s%s; %s missing", seen, all->v1_memory ? " memory" : "",
             all->v1_pids ? " pids" : "", all->v1_cpuacct ? " cpuacct" : "",
             !memory ? "memory is"
             : !pids ? "pids is"
                     : "cpuacct is, or all on the same version are");
}

/* A kernel that accounts swap has this file in every cgroup except the root; there the kernel version decides. */
static bool swap_is_limited(const struct host_list *list, const struct cgroups *all, bool is_v2)
{
    char path[PATH_BYTES + 40];
    if (!is_v2) {
        (void)snprintf(path, sizeof path, "%s/memory.memsw.limit_in_bytes", all->v1_memory_point);
        return host_exists(list, path);
    }
    (void)snprintf(path, sizeof path, "%s/memory.swap.max", all->own_path);
    return host_exists(list, path) || host_kernel_since(list, 5, 8); /* swap accounting is on by default since then */
}

static void check_swap(struct host_list *list, const struct cgroups *all, bool is_v2)
{
    char path[PATH_BYTES], line[256];
    unsigned areas = 0;
    (void)snprintf(path, sizeof path, "%s/proc/swaps", list->host->root);
    FILE *swaps = fopen(path, "re");
    while (swaps != NULL && fgets(line, sizeof line, swaps) != NULL)
        areas += strncmp(line, "Filename", 8) != 0 && line[0] != '\n';
    if (swaps != NULL)
        (void)fclose(swaps);
    if (areas == 0)
        host_add(list, HOST_OK, "swap", NULL, "off");
    else if (swap_is_limited(list, all, is_v2))
        host_add(list, HOST_WARN, "swap", "sudo swapoff -a, and take swap out of /etc/fstab",
                 "%u in use; programs get no swap, but swapping on the host distorts their times", areas);
    else
        host_add(list, HOST_MISSING, "swap", "sudo swapoff -a, or add \"swapaccount=1\" to GRUB_CMDLINE_LINUX",
                 "%u in use and not limited by cgroups: programs could use more than their memory limit", areas);
}

static void check_wait_time(struct host_list *list)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/proc/self/schedstat", list->host->root);
    if (access(path, R_OK) == 0)
        host_add(list, HOST_OK, "wait_time", NULL, "the kernel counts how long programs wait for a processor");
    else
        host_add(list, HOST_WARN, "wait_time", "use a kernel with CONFIG_SCHED_INFO, as all distributions build it",
                 "no /proc/PID/schedstat: on a busy machine, waiting for a processor counts as wall time");
}

void host_check_cgroups(struct host_list *list)
{
    struct cgroups all = { 0 };
    find_hierarchies(list, &all);
    bool is_v2 = all.has_v2 && host_has_word(all.v2_controllers, "memory") && host_has_word(all.v2_controllers, "pids");
    if (is_v2)
        check_v2(list, &all);
    else if (all.v1_memory && all.v1_pids && all.v1_cpuacct)
        check_v1(list, &all);
    else
        check_none(list, &all);
    check_swap(list, &all, is_v2);
    check_wait_time(list);
}
