/*
 * Findings about hosts, which are trees of files in place of /proc and /sys.  Each row changes one thing of a good host
 * (or of one with cgroup v1) and names the finding that reports it.
 */
#include "cases.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/host_check.h"

struct entry {
    const char *path, *content; /* content NULL: the file is taken away */
};

#define ROOT_MOUNT "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
#define V2_MOUNT "21 20 0:24 / /sys/fs/cgroup rw,nosuid shared:2 - cgroup2 cgroup2 rw\n"

static const struct entry well[] = {
    { "/proc/sys/kernel/osrelease", "6.1.0-13-amd64\n" },
    { "/proc/self/status", "Name:\tevalx\nCapEff:\t000001ffffffffff\n" },
    { "/proc/self/mountinfo", ROOT_MOUNT V2_MOUNT },
    { "/proc/self/cgroup", "0::/system.slice/evalx.service\n" },
    { "/proc/self/schedstat", "1 2 3\n" },
    { "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n" },
    { "/sys/fs/cgroup/system.slice/evalx.service/cgroup.controllers", "cpu memory pids\n" },
    { "/sys/fs/cgroup/system.slice/evalx.service/memory.peak", "4096\n" },
    { "/sys/fs/cgroup/system.slice/evalx.service/memory.swap.max", "max\n" },
    { "/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" },
    { "/proc/filesystems", "nodev\tsysfs\nnodev\tproc\nnodev\toverlay\n\text4\n" },
    { "/proc/sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno user_notif trace log allow\n" },
    { "/proc/sys/user/max_user_namespaces", "127000\n" },
    { "/proc/sys/user/max_pid_namespaces", "127000\n" },
    { "/proc/sys/user/max_mnt_namespaces", "127000\n" },
    { "/proc/sys/user/max_ipc_namespaces", "127000\n" },
    { "/proc/sys/user/max_net_namespaces", "127000\n" },
    { "/proc/sys/user/max_uts_namespaces", "127000\n" },
    { "/proc/sys/user/max_cgroup_namespaces", "127000\n" },
    { "/proc/sys/kernel/core_pattern", "core\n" },
    { "/proc/sys/kernel/yama/ptrace_scope", "1\n" },
    { "/proc/sys/kernel/pid_max", "4194304\n" },
    { "/proc/sys/kernel/threads-max", "127000\n" },
    { "/proc/sys/fs/protected_hardlinks", "1\n" },
    { "/proc/sys/fs/protected_symlinks", "1\n" },
    { "/proc/sys/vm/memfd_noexec", "0\n" },
    { "/sys/devices/system/cpu/smt/active", "0\n" },
};

/* Turns the host into one with cgroup v1. */
static const struct entry v1_entries[] = {
    { "/proc/self/mountinfo", ROOT_MOUNT "22 20 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                         "23 20 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
                                         "24 20 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                                         "25 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" },
    { "/sys/fs/cgroup/unified/cgroup.controllers", "\n" },
};

static char root[64];

static void put(const struct entry *entry)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s%s", root, entry->path);
    if (entry->content == NULL) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(entry->content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static int make_host(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/evalx-host-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    for (size_t i = 0; i < LEN(well); i++)
        put(&well[i]);
    return 0;
}

static int remove_host(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct host_environment place_well(void)
{
    return (struct host_environment){ .root = root,
                                      .data = "/var/lib/evalx",
                                      .has_landlock = true,
                                      .disk_known = true,
                                      .disk_bytes_free = 50ull << 30,
                                      .disk_inodes_free = 1000000,
                                      .processes = 4096 };
}

/* All but the named one must be well. */
static void expect(const struct host_environment *host, const char *name, enum host_state state, const char *seen,
                   const char *remedy)
{
    struct host_finding findings[HOST_FINDINGS_MAX];
    size_t len = host_check(host, findings);
    bool found = name == NULL;
    assert_in_range(len, 10, HOST_FINDINGS_MAX - 5);
    for (size_t i = 0; i < len; i++) {
        const struct host_finding *f = &findings[i];
        if (name == NULL || strcmp(f->name, name) != 0) {
            if (f->state != HOST_OK)
                fail_msg("%s is %s: %s", f->name, host_state_name(f->state), f->seen);
            assert_string_equal(f->remedy, "");
            continue;
        }
        found = true;
        assert_string_equal(host_state_name(f->state), host_state_name(state));
        assert_contains(f->seen, seen);
        assert_contains(f->remedy, remedy);
    }
    if (!found)
        fail_msg("no finding %s", name);
}

static void a_good_host_needs_no_remedy(void **state)
{
    (void)state;
    struct host_environment host = place_well();
    expect(&host, NULL, HOST_OK, "", "");
}

/* One change, and the finding that reports it. */
static const struct {
    struct entry entry;
    const char *name;
    enum host_state state;
    const char *seen, *remedy;
} rows[] = {
    { { "/proc/sys/kernel/osrelease", "5.10.0-8\n" },
      "kernel",
      HOST_MISSING,
      "lacks close_range with close-on-exec, mount_setattr",
      "5.12" },
    { { "/proc/sys/kernel/osrelease", NULL }, "proc", HOST_MISSING, "no kernel version", "mount -t proc" },
    { { "/proc/self/status", "CapEff:\t0000000000000000\n" }, "capabilities", HOST_MISSING, "SYS_ADMIN", "sudo" },
    { { "/proc/self/status", "CapEff:\t00000000a80425fb\n" },
      "capabilities",
      HOST_MISSING,
      ": SYS_ADMIN",
      "--privileged" }, /* a container's usual set */
    { { "/proc/self/mountinfo", "21 20 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n" },
      "root",
      HOST_MISSING,
      "chroot",
      "outside the chroot" },
    { { "/.dockerenv", "" }, "root", HOST_WARN, "container (by /.dockerenv)", "--privileged" },
    { { "/run/systemd/container", "lxc\n" }, "root", HOST_WARN, "container (lxc)", "--privileged" },
    { { "/proc/sys/user/max_user_namespaces", "0\n" },
      "namespaces",
      HOST_MISSING,
      "user",
      "sudo sysctl -w user.max_user_namespaces=" },
    { { "/proc/sys/user/max_net_namespaces", NULL }, "namespaces", HOST_MISSING, "net", "max_net_namespaces" },
    { { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n" },
      "user_namespace_rules",
      HOST_OK,
      "AppArmor",
      "" },
    { { "/proc/sys/kernel/unprivileged_userns_clone", "0\n" }, "user_namespace_rules", HOST_OK, "unprivileged", "" },
    { { "/proc/sys/kernel/seccomp/actions_avail", NULL }, "seccomp", HOST_MISSING, "no ", "CONFIG_SECCOMP_FILTER" },
    { { "/proc/sys/kernel/seccomp/actions_avail", "trap trace allow\n" },
      "seccomp",
      HOST_MISSING,
      "only: trap",
      "CONFIG_SECCOMP_FILTER" },
    { { "/proc/sys/kernel/seccomp/actions_avail", "kill_process errno allow\n" },
      "seccomp",
      HOST_WARN,
      "user_notif",
      "denied_syscalls=error" },
    { { "/proc/sys/vm/memfd_noexec", "2\n" }, "memfd_noexec", HOST_MISSING, "2", "sudo sysctl -w vm.memfd_noexec=1" },
    { { "/proc/filesystems", "\text4\n" }, "overlay", HOST_WARN, "not available", "sudo modprobe overlay" },
    { { "/proc/self/schedstat", NULL }, "wait_time", HOST_WARN, "counts as wall time", "CONFIG_SCHED_INFO" },
    { { "/proc/self/mountinfo", ROOT_MOUNT }, "cgroup_version", HOST_MISSING, "none is mounted", "mount -t cgroup2" },
    { { "/sys/fs/cgroup/cgroup.controllers", "cpu pids\n" },
      "cgroup_controllers",
      HOST_MISSING,
      "memory is missing",
      "cgroup_enable=memory" },
    { { "/sys/fs/cgroup/cgroup.controllers", "memory pids\n" },
      "cgroup_controllers",
      HOST_WARN,
      "cpu is missing",
      "cgroup_enable=cpu" },
    { { "/proc/self/mountinfo", ROOT_MOUNT "21 20 0:24 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw\n" },
      "cgroup_writable",
      HOST_MISSING,
      "read-only",
      "--cgroupns=host" },
    { { "/sys/fs/cgroup/system.slice/evalx.service/cgroup.controllers", "\n" },
      "cgroup_delegation",
      HOST_WARN,
      "not delegated",
      "Delegate=yes" },
    { { "/proc/self/cgroup", "0::/\n" }, "cgroup_delegation", HOST_OK, "root cgroup", "" },
    { { "/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 9999 0 -2\n" },
      "swap",
      HOST_WARN,
      "1 in use",
      "sudo swapoff -a" },
    { { "/proc/sys/kernel/core_pattern", "|/usr/share/apport/apport -p%p\n" },
      "core_pattern",
      HOST_WARN,
      "apport",
      "sudo sysctl -w kernel.core_pattern=core" },
    { { "/proc/sys/kernel/yama/ptrace_scope", "0\n" },
      "ptrace_scope",
      HOST_WARN,
      "0: ",
      "sudo sysctl -w kernel.yama.ptrace_scope=1" },
    { { "/proc/sys/kernel/yama/ptrace_scope", NULL }, "ptrace_scope", HOST_OK, "absent", "" },
    { { "/proc/sys/fs/protected_hardlinks", "0\n" },
      "protected_hardlinks",
      HOST_WARN,
      "0: ",
      "sudo sysctl -w fs.protected_hardlinks=1" },
    { { "/proc/sys/fs/protected_symlinks", NULL },
      "protected_symlinks",
      HOST_WARN,
      "absent",
      "sudo sysctl -w fs.protected_symlinks=1" },
    { { "/proc/sys/kernel/pid_max", "4096\n" }, "processes", HOST_WARN, "4096", "kernel.pid_max" },
    { { "/sys/devices/system/cpu/smt/active", "1\n" }, "smt", HOST_WARN, "share a core", "smt/control" },
};

static void each_problem_has_a_remedy(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEN(rows); i++) {
        struct host_environment host = place_well();
        print_message("  %s: %s\n", rows[i].name, rows[i].entry.content != NULL ? rows[i].seen : "taken away");
        put(&rows[i].entry);
        if (strcmp(rows[i].name, "proc") == 0) { /* then nothing is known of memory.peak, but it is there */
            struct host_finding findings[HOST_FINDINGS_MAX];
            (void)host_check(&host, findings);
            assert_string_equal(findings[0].name, "proc");
            assert_int_equal(findings[0].state, HOST_MISSING);
        } else {
            expect(&host, rows[i].name, rows[i].state, rows[i].seen, rows[i].remedy);
        }
        assert_int_equal(remove_host(NULL), 0);
        assert_int_equal(make_host(NULL), 0);
    }
}

static void landlock_is_recommended(void **state)
{
    (void)state;
    struct host_environment host = place_well();
    host.has_landlock = false;
    expect(&host, "landlock", HOST_WARN, "not available", "Linux 5.19");
}

static void rules_for_user_namespaces_matter_without_privilege(void **state)
{
    (void)state;
    struct host_environment host = place_well();
    struct host_finding findings[HOST_FINDINGS_MAX];
    put(&(struct entry){ "/proc/self/status", "CapEff:\t0000000000000000\n" });
    put(&(struct entry){ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n" });
    size_t len = host_check(&host, findings), i = 0;
    while (i < len && strcmp(findings[i].name, "user_namespace_rules") != 0)
        i++;
    assert_true(i < len);
    assert_int_equal(findings[i].state, HOST_WARN);
    assert_contains(findings[i].seen, "Ubuntu 24.04");
    assert_contains(findings[i].remedy, "kernel.apparmor_restrict_unprivileged_userns=0");
}

static void memory_peak_is_known_by_its_file_or_the_kernel_version(void **state)
{
    (void)state;
    struct host_environment host = place_well();
    put(&(struct entry){ "/sys/fs/cgroup/system.slice/evalx.service/memory.peak", NULL });
    expect(&host, NULL, HOST_OK, "", ""); /* 6.1 has it in the groups to come */
    put(&(struct entry){ "/proc/sys/kernel/osrelease", "5.15.0-91-generic\n" });
    expect(&host, "memory_peak", HOST_WARN, "no memory.peak", "5.19");
}

static void cgroup_v1_works_but_is_not_the_best(void **state)
{
    (void)state;
    struct host_environment host = place_well();
    for (size_t i = 0; i < LEN(v1_entries); i++)
        put(&v1_entries[i]);
    expect(&host, "cgroup_version", HOST_WARN, "v1", "systemd.unified_cgroup_hierarchy=1");
    /* Swap that v1 does not count would let programs out of their memory limit. */
    put(&(struct entry){ "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "1\n" });
    expect(&host, "cgroup_version", HOST_WARN, "v1", "unified");
    put(&(struct entry){ "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", NULL });
    put(&(struct entry){ "/proc/swaps", "Filename Type\n/swapfile file\n" });
    struct host_finding findings[HOST_FINDINGS_MAX];
    size_t len = host_check(&host, findings), i = 0;
    while (i < len && strcmp(findings[i].name, "swap") != 0)
        i++;
    assert_true(i < len);
    assert_int_equal(findings[i].state, HOST_MISSING);
    assert_contains(findings[i].remedy, "swapaccount=1");
    /* Without pids there is no limit of processes. */
    put(&(struct entry){ "/proc/self/mountinfo", ROOT_MOUNT "22 20 0:25 / /m rw - cgroup cgroup rw,memory\n" });
    len = host_check(&host, findings);
    for (i = 0; i < len && strcmp(findings[i].name, "cgroup_controllers") != 0; i++)
        ;
    assert_true(i < len);
    assert_int_equal(findings[i].state, HOST_MISSING);
    assert_contains(findings[i].seen, "pids is missing");
}

static void the_disk_of_the_data_folder_is_checked(void **state)
{
    (void)state;
    struct host_environment host = place_well();
    host.disk_bytes_free = 500 << 20;
    expect(&host, "disk", HOST_WARN, "500 MiB", "EVALX_DATA");
    host.disk_bytes_free = 10 << 20;
    expect(&host, "disk", HOST_MISSING, "10 MiB", "EVALX_DATA");
    host.disk_bytes_free = 50ull << 30;
    host.disk_inodes_free = 5000;
    expect(&host, "disk", HOST_WARN, "5000 inodes", "EVALX_DATA");
    host.disk_inodes_free = 0;
    expect(&host, "disk", HOST_MISSING, " 0 inodes", "EVALX_DATA");
    /* A folder that does not exist yet is judged by the one it will be made in. */
    char data[200];
    (void)snprintf(data, sizeof data, "%s/not/there/yet", root);
    struct host_environment real = { .root = "", .data = data };
    host_environment_disk(&real);
    assert_true(real.disk_known && real.disk_bytes_free > 0);
}

static void this_host_has_findings_with_remedies(void **state)
{
    (void)state;
    struct host_environment host = { .root = "", .data = "/", .processes = 64 };
    struct host_finding findings[HOST_FINDINGS_MAX];
    host_environment_disk(&host);
    size_t len = host_check(&host, findings);
    assert_true(len >= 15);
    for (size_t i = 0; i < len; i++) {
        assert_true(findings[i].seen[0] != '\0');
        assert_int_equal(findings[i].state != HOST_OK, findings[i].remedy[0] != '\0');
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_host, remove_host)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_good_host_needs_no_remedy),
        CASE(each_problem_has_a_remedy),
        CASE(landlock_is_recommended),
        CASE(rules_for_user_namespaces_matter_without_privilege),
        CASE(memory_peak_is_known_by_its_file_or_the_kernel_version),
        CASE(cgroup_v1_works_but_is_not_the_best),
        CASE(the_disk_of_the_data_folder_is_checked),
        CASE(this_host_has_findings_with_remedies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
