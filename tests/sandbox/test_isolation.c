/*
 * What a program in a box cannot see, reach or do, with each backend: the image, /proc, privileges, networks, denied
 * syscalls, locks, and traces of earlier runs.
 */
#include "sandbox_fixture.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/archive.h"

static void nothing_passes_from_one_run_to_the_next(void **state)
{
    (void)state;
    expect_output("for d in /box /tmp /dev/shm; do echo x > $d/mark; done; ipcmk -M 4096 >/dev/null; echo done",
                  "done\n");
    expect_output("ls -A /box /tmp /dev/shm; ipcs -m | grep -c 0x", "/box:\n\n/dev/shm:\n\n/tmp:\n0\n");
}

static void the_image_is_read_only_and_shows_nothing_of_the_host(void **state)
{
    (void)state;
    expect_output("touch /usr/x 2>/dev/null; touch /etc/x 2>/dev/null; touch /x 2>/dev/null; touch /dev/x 2>/dev/null; "
                  "ls /usr/x /etc/x /x /dev/x 2>/dev/null | wc -l",
                  "0\n");
    expect_output("ls -d /root /home /var /sys /run /mnt /work 2>/dev/null | wc -l", "0\n");
    expect_output("cat /etc/shadow /etc/hostname /proc/1/environ 2>/dev/null | wc -c", "0\n");
    expect_output("hostname 2>/dev/null || cat /proc/sys/kernel/hostname 2>/dev/null || uname -n", "box\n");
    expect_output("grep -c . /proc/$$/mountinfo | awk '{print ($1 < 24)}'", "1\n");
    expect_output("find / -xdev -perm /6000 2>/dev/null | head -1 | xargs -r -I{} {} --version >/dev/null 2>&1; "
                  "id -u | grep -c -x 0",
                  "0\n");
}

static void proc_shows_only_processes(void **state)
{
    (void)state;
    needs_native("isolate mounts the whole of /proc");
    expect_output("cat /proc/sys/kernel/hostname /proc/version 2>/dev/null | wc -c; ls -d /proc/sys 2>/dev/null",
                  "0\n");
    expect_output("ls /proc | grep -v -x -e '[0-9]*' -e self -e thread-self", "");
}

/* With every memory limit, in a box that was made before its request as in one that was not. */
static void proc_shows_the_limits_of_the_box(void **state)
{
    (void)state;
    needs_native("isolate mounts the whole of /proc");
    const uint64_t before = easy.memory_bytes;
    for (uint64_t mib = 32; mib <= 96; mib += 32) {
        char expected[64];
        easy.memory_bytes = mib << 20;
        (void)snprintf(expected, sizeof expected, "MemTotal: %u kB\n", (unsigned)(mib << 10));
        expect_output("grep MemTotal /proc/meminfo | tr -s ' '", expected);
    }
    easy.memory_bytes = before;
    expect_output(
        "test $(nproc) = $(grep -c ^processor /proc/cpuinfo) && test $(nproc) = $(grep -c '^cpu[0-9]' /proc/stat)"
        " && echo same",
        "same\n");
    expect_output("echo x 2>/dev/null >/proc/meminfo || echo refused", "refused\n");
}

static void a_program_gets_only_what_was_requested(void **state)
{
    (void)state;
    expect_output("ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 "); /* 3 is ls's own */
    expect_output("env | grep -v -E '^(PWD|SHLVL|_)=' | sort | tr '\\n' ' '", "LANG=C.UTF-8 PATH=/usr/bin:/bin ");
    expect_output("pwd", "/box\n");
}

static void isolate_gives_no_privileges(void **state)
{
    (void)state;
    needs_isolate();
    expect_output("id -u | grep -v -x -e 0 -e 1000 | wc -l; grep -E '^(CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp):' "
                  "/proc/$$/status | tr -s '\\t ' ' '",
                  "1\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapAmb: 0000000000000000\n"
                  "NoNewPrivs: 1\nSeccomp: 2\n");
    expect_output("for c in 'unshare -m true' 'mount -t tmpfs x /tmp' 'chroot / true' 'hostname x' "
                  "'mknod /box/n c 1 3' 'ip link add d0 type dummy'; do $c >/dev/null 2>&1 && echo \"$c worked\"; "
                  "done; echo end",
                  "end\n");
}

static void a_program_has_no_privileges(void **state)
{
    (void)state;
    needs_native("isolate has no user namespace, and keeps a bounding set that no_new_privs makes ineffective");
    expect_output("id -u; id -G; grep -E '^(CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/$$/status | "
                  "tr -s '\\t ' ' '",
                  "1000\n1000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\n"
                  "CapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n");
    expect_output("for c in 'unshare -U true' 'unshare -m true' 'mount -t tmpfs x /tmp' 'chroot / true' 'hostname x' "
                  "'ip link add d0 type dummy'; do $c >/dev/null 2>&1 && echo \"$c worked\"; done; echo end",
                  "end\n");
    expect_output("awk '/core file/ {print $5, $6}' /proc/$$/limits; ulimit -c 0 2>/dev/null || echo kept",
                  "1 1\nkept\n");
}

static void isolate_reaches_no_network(void **state)
{
    (void)state;
    needs_isolate();
    struct run_outcome o = run_python("import socket\n"
                                      "for a in ('169.254.169.254', '10.0.0.1', '8.8.8.8'):\n"
                                      "  s = socket.socket()\n  s.settimeout(1)\n"
                                      "  try:\n    s.connect((a, 80))\n    print('connected', a)\n"
                                      "  except OSError as e: print(e.errno == 101)\n"
                                      "names = [n for _, n in socket.if_nameindex()]\n"
                                      "print([n for n in names if n == 'lo' or n[:2] in ('et', 'en', 'wl')])\n"
                                      "for f in (17, 40):\n"
                                      "  try: socket.socket(f, socket.SOCK_RAW); print('opened')\n"
                                      "  except OSError as e: print(e.errno in (1, 97))\n",
                                      NULL);
    assert_string_equal(o.output.at, "True\nTrue\nTrue\n['lo']\nTrue\nTrue\n");
    run_outcome_done(&o);
}

static void there_is_no_network(void **state)
{
    (void)state;
    needs_native("isolate brings up the loopback of its empty network, and allows netlink");
    struct run_outcome o = run_python("import socket\n"
                                      "for f in (2, 10, 16, 17, 40):\n"
                                      "  for k in (1, 2, 3):\n"
                                      "    try: socket.socket(f, k); print('opened', f, k)\n"
                                      "    except OSError as e: e.errno == 97 or print(f, k, e)\n"
                                      "print('end')\n",
                                      NULL);
    assert_string_equal(o.output.at, "end\n");
    run_outcome_done(&o);
}

static void denied_syscalls_return_their_errno(void **state)
{
    (void)state;
    needs_native("isolate's filter refuses keyctl, file locks, vsock and io_uring only");
    /* keyctl, ptrace, bpf, io_uring_setup, perf_event_open, userfaultfd, clone3, mount, open_by_handle_at */
    struct run_outcome o = run_python("import ctypes\nl = ctypes.CDLL(None, use_errno=True)\n"
                                      "for n in (250, 101, 321, 425, 298, 323, 435, 165, 304, 310):\n"
                                      "  l.syscall(n, 0, 0, 0, 0, 0)\n  print(ctypes.get_errno(), end=' ')\n",
                                      NULL);
#if defined(__x86_64__)
    assert_string_equal(o.output.at, "1 1 1 38 1 1 38 1 1 1 ");
#endif
    run_outcome_done(&o);
}

static void isolate_refuses_locks(void **state)
{
    (void)state;
    needs_isolate();
    struct run_outcome o = run_python("import fcntl\nf = open('/usr/bin/env')\n"
                                      "for call in (fcntl.flock, fcntl.lockf):\n"
                                      "  try: call(f, fcntl.LOCK_SH | fcntl.LOCK_NB); print('locked')\n"
                                      "  except OSError as e: print(e.errno in (1, 38))\n",
                                      NULL);
    assert_string_equal(o.output.at, "True\nTrue\n");
    run_outcome_done(&o);
}

static void *hold_a_lock(void *other)
{
    const char *const argv[] = { "/usr/bin/python3", "-c",
                                 "import fcntl, time\nf = open('/usr/bin/env')\nfcntl.flock(f, fcntl.LOCK_EX)\n"
                                 "g = open('/etc/ld.so.cache')\nfcntl.flock(g, fcntl.LOCK_EX)\ntime.sleep(2)\n",
                                 NULL };
    struct run_request job = shell_job(argv);
    struct error err;
    struct run_outcome o;
    if (sandbox_run(other, &job, &o, &err) < 0)
        return (void *)(uintptr_t) "the neighbour did not run";
    const char *result = o.stats.exit_code == 0 ? NULL : "the neighbour could not lock";
    run_outcome_done(&o);
    return (void *)(uintptr_t)result;
}

static void a_lock_on_a_shared_file_is_invisible_to_other_slots(void **state)
{
    (void)state;
    needs_native("isolate refuses locks instead");
    struct error err;
    struct sandbox_slot *other;
    assert_int_equal(sandbox_slot_open(sandbox, 1, &other, &err), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_a_lock, other), 0);
    (void)nanosleep(&(struct timespec){ .tv_nsec = 800000000 }, NULL);
    struct run_outcome o = run_python("import fcntl\nfor n in ('/usr/bin/env', '/etc/ld.so.cache'):\n"
                                      "  fcntl.flock(open(n), fcntl.LOCK_EX | fcntl.LOCK_NB); print('mine')\n",
                                      NULL);
    void *complaint;
    (void)pthread_join(thread, &complaint);
    assert_null(complaint);
    assert_string_equal(o.output.at, "mine\nmine\n");
    run_outcome_done(&o);
    sandbox_slot_close(other);
}

/* An archive with a forbidden name is rejected before any program starts. */
static void a_hostile_archive_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "../x", "/etc/x", "a/../../x", "a//b", ".", "a/.", "" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = memfd_create("hostile", 0);
        struct archive_entry entry = { .name_len = (uint32_t)strlen(names[i]), .mode = 0644, .size = 1 };
        assert_int_equal(write(fd, ARCHIVE_MAGIC, 8), 8);
        assert_int_equal(write(fd, &entry, sizeof entry), sizeof entry);
        assert_int_equal(write(fd, names[i], entry.name_len), entry.name_len);
        assert_int_equal(write(fd, "x", 1), 1);
        const char *const argv[] = { "/usr/bin/true", NULL };
        struct run_request job = shell_job(argv);
        job.archive_fd = fd;
        struct run_outcome o;
        struct error err;
        assert_int_equal(sandbox_run(slot, &job, &o, &err), -1);
        assert_non_null(strstr(err.text, "archive"));
        (void)close(fd);
    }
    expect_output("echo fine", "fine\n");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_passes_from_one_run_to_the_next),
        cmocka_unit_test(the_image_is_read_only_and_shows_nothing_of_the_host),
        cmocka_unit_test(proc_shows_only_processes),
        cmocka_unit_test(proc_shows_the_limits_of_the_box),
        cmocka_unit_test(a_program_gets_only_what_was_requested),
        cmocka_unit_test(a_program_has_no_privileges),
        cmocka_unit_test(isolate_gives_no_privileges),
        cmocka_unit_test(there_is_no_network),
        cmocka_unit_test(isolate_reaches_no_network),
        cmocka_unit_test(denied_syscalls_return_their_errno),
        cmocka_unit_test(isolate_refuses_locks),
        cmocka_unit_test(a_lock_on_a_shared_file_is_invisible_to_other_slots),
        cmocka_unit_test(a_hostile_archive_is_refused),
    };
    return sandbox_fixture_main(argc, argv, tests);
}
