/*
 * What a box promises, seen from the worker: facts, limits, streams, files, isolation, repair.
 * Real runs of real programs of this host, in the image "host".  Needs root; skipped (77) otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/bundle.h"
#include "sandbox/sandbox.h"

/* "native", or "isolate" as the first argument: the same tests hold for both but for those that say why not. */
static const char *driver = "native";

static bool is_native(void)
{
    return strcmp(driver, "native") == 0;
}

/* A test that only the native driver can hold; `why` says what isolate does instead. */
static void needs_native(const char *why)
{
    if (!is_native()) {
        print_message("  skipped: %s\n", why);
        skip();
    }
}

/* And the other way round: what isolate promises where it differs. */
static void needs_isolate(void)
{
    if (is_native())
        skip();
}

static struct sandbox *sandbox;
static struct box *box;

static const struct limits easy = {
    .cpu_us = 5000000, .wall_us = 10000000, .memory_bytes = 256 << 20, .stack_bytes = 8 << 20,
    .output_bytes = 1 << 20, .file_bytes = 16 << 20, .disk_bytes = 32 << 20, .processes = 64, .open_files = 256,
};

static const char *const plain_env[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };

static struct box_job shell_job(const char *const argv[])
{
    return (struct box_job){ .image = "host", .class = LANGUAGE_CLASS_NATIVE, .argv = (char *const *)argv,
                             .env = (char *const *)plain_env, .limits = easy, .bundle_fd = -1 };
}

static struct box_outcome run_job(const struct box_job *job)
{
    struct error err;
    struct box_outcome outcome;
    if (box_run(box, job, &outcome, &err) < 0)
        fail_msg("box_run: %s", err.text);
    return outcome;
}

static struct box_outcome run_shell_with(const char *script, const struct limits *limits)
{
    const char *const argv[] = { "/usr/bin/bash", "-c", script, NULL };
    struct box_job job = shell_job(argv);
    if (limits != NULL)
        job.limits = *limits;
    return run_job(&job);
}

static void expect_output(const char *script, const char *expected)
{
    struct box_outcome o = run_shell_with(script, NULL);
    if (o.errors.len > 0)
        print_message("  stderr: %s", o.errors.at);
    assert_string_equal(o.output.at != NULL ? o.output.at : "", expected);
    box_outcome_done(&o);
}

/* Runs a Python program with these limits (NULL: easy). */
static struct box_outcome run_python(const char *program, const struct limits *limits)
{
    const char *const argv[] = { "/usr/bin/python3", "-c", program, NULL };
    struct box_job job = shell_job(argv);
    if (limits != NULL)
        job.limits = *limits;
    return run_job(&job);
}

static void a_program_runs_and_its_facts_are_told(void **state)
{
    (void)state;
    struct box_outcome o = run_shell_with("echo out; echo err >&2; exit 3", NULL);
    assert_string_equal(o.output.at, "out\n");
    assert_string_equal(o.errors.at, "err\n");
    assert_int_equal(o.facts.exit_code, 3);
    assert_int_equal(o.facts.signal, 0);
    assert_true(o.facts.wall_us > 0);
    assert_true(o.facts.cpu_us > 0);
    assert_true(o.facts.memory_bytes > 100000 && o.facts.memory_bytes < (64 << 20));
    assert_false(o.facts.cpu_exceeded || o.facts.wall_exceeded || o.facts.output_exceeded || o.facts.cancelled);
    box_outcome_done(&o);
}

static void a_signal_is_told(void **state)
{
    (void)state;
    static const int signals[] = { SIGSEGV, SIGABRT, SIGFPE, SIGKILL, SIGTERM };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char script[64];
        (void)snprintf(script, sizeof script, "kill -%d $$", signals[i]);
        struct box_outcome o = run_shell_with(script, NULL);
        assert_int_equal(o.facts.signal, signals[i]);
        box_outcome_done(&o);
    }
}

static void stdin_arrives_byte_for_byte(void **state)
{
    (void)state;
    static char input[300000];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (char)(i * 7 + i / 256);
    const char *const argv[] = { "/usr/bin/cat", NULL };
    struct box_job job = shell_job(argv);
    job.input = (struct text){ input, sizeof input };
    struct box_outcome o = run_job(&job);
    assert_int_equal(o.output.len, sizeof input);
    assert_memory_equal(o.output.at, input, sizeof input);
    box_outcome_done(&o);
}

static void output_is_cut_at_its_limit_and_no_byte_before(void **state)
{
    (void)state;
    struct limits l = easy;
    l.output_bytes = 1000;
    struct box_outcome o = run_shell_with("head -c 1000 /dev/zero", &l);
    assert_int_equal(o.output.len, 1000);
    assert_false(o.facts.output_exceeded);
    box_outcome_done(&o);
    o = run_shell_with("head -c 1001 /dev/zero", &l);
    assert_int_equal(o.output.len, 1000);
    assert_true(o.facts.output_exceeded && o.output_cut && !o.errors_cut);
    box_outcome_done(&o);
    o = run_shell_with("yes", &l);
    assert_true(o.facts.output_exceeded);
    box_outcome_done(&o);
    o = run_shell_with("yes >&2", &l);
    assert_true(o.facts.output_exceeded && o.errors_cut);
    box_outcome_done(&o);
}

static void time_limits_end_a_program(void **state)
{
    (void)state;
    struct limits l = easy;
    l.cpu_us = 300000;
    struct box_outcome o = run_shell_with("while :; do :; done", &l);
    assert_true(o.facts.cpu_exceeded);
    assert_true(o.facts.cpu_us >= 300000 && o.facts.cpu_us < 900000);
    box_outcome_done(&o);
    l = easy;
    l.wall_us = 300000;
    static const char *const sleepers[] = { "sleep 20", "trap '' TERM INT HUP; sleep 20", "kill -STOP $$; sleep 20",
                                            "sleep 20 & sleep 20 & wait", "setsid sleep 20 >/dev/null & sleep 20" };
    for (size_t i = 0; i < sizeof sleepers / sizeof *sleepers; i++) {
        o = run_shell_with(sleepers[i], &l);
        assert_true(o.facts.wall_exceeded);
        assert_true(o.facts.wall_us >= 300000 && o.facts.wall_us < 5000000);
        box_outcome_done(&o);
    }
    /* CPU time is that of all processes together. */
    l = easy;
    l.cpu_us = 400000;
    o = run_shell_with("for i in 1 2 3 4; do (while :; do :; done) & done; wait", &l);
    assert_true(o.facts.cpu_exceeded);
    box_outcome_done(&o);
}

static void memory_is_limited_and_measured(void **state)
{
    (void)state;
    struct limits l = easy;
    l.memory_bytes = 64 << 20;
    struct box_outcome o = run_python("x = bytearray(200 << 20)\nprint(len(x))", &l);
    assert_true(o.facts.oom_kills > 0);
    assert_true(o.facts.memory_bytes <= (64 << 20));
    box_outcome_done(&o);
    o = run_python("x = bytearray(30 << 20)\nprint(len(x))", &l);
    assert_int_equal(o.facts.oom_kills, 0);
    assert_true(o.facts.memory_bytes >= (30 << 20));
    box_outcome_done(&o);
    /* Files in memory count too. */
    l.file_bytes = l.disk_bytes = 300 << 20;
    o = run_shell_with("head -c 200m /dev/zero > /dev/shm/x", &l);
    assert_true(o.facts.oom_kills > 0);
    box_outcome_done(&o);
    /* And the next run in the same box starts from zero. */
    o = run_shell_with("true", NULL);
    assert_true(o.facts.memory_bytes < (16 << 20));
    box_outcome_done(&o);
}

static void processes_are_limited_and_none_survives(void **state)
{
    (void)state;
    struct limits l = easy;
    l.processes = 10;
    l.wall_us = 2000000;
    /* isolate takes an orphan of the first millisecond for a second program, and gives up: so none is made early. */
    struct box_outcome o = run_shell_with("sleep 0.1; f() { f | f & }; f; sleep 0.3; exit 0", &l);
    box_outcome_done(&o);
    o = run_shell_with("sleep 0.1; for i in $(seq 30); do sleep 5 & done 2>/dev/null; exit 0", &l);
    assert_true(o.facts.process_refusals > 0);
    box_outcome_done(&o);
    /* A daemon left behind is gone when the run is over. */
    o = run_shell_with("sleep 0.1; setsid sh -c 'sleep 30; echo late > /box/late' >/dev/null 2>&1 & exit 0", NULL);
    assert_int_equal(o.facts.exit_code, 0);
    assert_true(o.facts.wall_us < 5000000);
    box_outcome_done(&o);
    expect_output("ls /proc > list; grep -c '^[0-9]' list", "2\n"); /* bash and ls; init is not shown */
}

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
    expect_output("grep -c . /proc/self/mountinfo | awk '{print ($1 < 24)}'", "1\n");
    expect_output("find / -xdev -perm /6000 2>/dev/null | head -1 | xargs -r -I{} {} --version >/dev/null 2>&1; "
                  "id -u | grep -c -x 0",
                  "0\n");
}

static void proc_shows_processes_alone(void **state)
{
    (void)state;
    needs_native("isolate mounts the whole of /proc");
    expect_output("cat /proc/sys/kernel/hostname /proc/meminfo 2>/dev/null | wc -c; ls -d /proc/sys 2>/dev/null",
                  "0\n");
}

static void a_program_is_given_what_was_asked_and_no_more(void **state)
{
    (void)state;
    expect_output("ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 "); /* 3 is ls's own */
    expect_output("env | grep -v -E '^(PWD|SHLVL|_)=' | sort | tr '\\n' ' '", "LANG=C.UTF-8 PATH=/usr/bin:/bin ");
    expect_output("pwd", "/box\n");
}

static void isolate_gives_no_powers(void **state)
{
    (void)state;
    needs_isolate();
    expect_output("id -u | grep -v -x -e 0 -e 1000 | wc -l; grep -E '^(CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp):' "
                  "/proc/self/status | tr -s '\\t ' ' '",
                  "1\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapAmb: 0000000000000000\n"
                  "NoNewPrivs: 1\nSeccomp: 2\n");
    expect_output("for c in 'unshare -m true' 'mount -t tmpfs x /tmp' 'chroot / true' 'hostname x' "
                  "'mknod /box/n c 1 3' 'ip link add d0 type dummy'; do $c >/dev/null 2>&1 && echo \"$c worked\"; done; echo end",
                  "end\n");
}

static void a_program_has_no_powers(void **state)
{
    (void)state;
    needs_native("isolate has no user namespace, and leaves a bounding set that no_new_privs makes useless");
    expect_output("id -u; id -G; grep -E '^(CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | "
                  "tr -s '\\t ' ' '",
                  "1000\n1000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\n"
                  "CapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n");
    expect_output("for c in 'unshare -U true' 'unshare -m true' 'mount -t tmpfs x /tmp' 'chroot / true' 'hostname x' "
                  "'ip link add d0 type dummy'; do $c >/dev/null 2>&1 && echo \"$c worked\"; done; echo end",
                  "end\n");
    expect_output("awk '/core file/ {print $5, $6}' /proc/self/limits; ulimit -c 0 2>/dev/null || echo kept",
                  "1 1\nkept\n");
}

static void isolate_reaches_no_network(void **state)
{
    (void)state;
    needs_isolate();
    struct box_outcome o = run_python("import socket\n"
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
    box_outcome_done(&o);
}

static void there_is_no_network(void **state)
{
    (void)state;
    needs_native("isolate raises the loopback of its empty network, and allows netlink");
    struct box_outcome o = run_python("import socket\n"
                                      "for a in ('127.0.0.1', '169.254.169.254', '10.0.0.1', '8.8.8.8'):\n"
                                      "  s = socket.socket()\n  s.settimeout(1)\n"
                                      "  try:\n    s.connect((a, 80))\n    print('connected', a)\n"
                                      "  except OSError as e: print(e.errno == 101)\n"
                                      "for f in (16, 17, 40):\n"
                                      "  try: socket.socket(f, socket.SOCK_RAW)\n"
                                      "  except OSError as e: print(e.errno == 97)\n",
                                      NULL);
    assert_string_equal(o.output.at, "True\nTrue\nTrue\nTrue\nTrue\nTrue\nTrue\n");
    box_outcome_done(&o);
}

static void refused_calls_say_so(void **state)
{
    (void)state;
    needs_native("isolate's filter refuses keyctl, file locks, vsock and io_uring only");
    /* keyctl, ptrace, bpf, io_uring_setup, perf_event_open, userfaultfd, clone3, mount, open_by_handle_at */
    struct box_outcome o = run_python("import ctypes\nl = ctypes.CDLL(None, use_errno=True)\n"
                                      "for n in (250, 101, 321, 425, 298, 323, 435, 165, 304, 310):\n"
                                      "  l.syscall(n, 0, 0, 0, 0, 0)\n  print(ctypes.get_errno(), end=' ')\n",
                                      NULL);
#if defined(__x86_64__)
    assert_string_equal(o.output.at, "1 1 1 38 1 1 38 1 1 1 ");
#endif
    box_outcome_done(&o);
}

static void *hold_a_lock(void *other)
{
    const char *const argv[] = { "/usr/bin/python3", "-c",
                                 "import fcntl, time\nf = open('/usr/bin/env')\nfcntl.flock(f, fcntl.LOCK_EX)\n"
                                 "g = open('/etc/ld.so.cache')\nfcntl.flock(g, fcntl.LOCK_EX)\ntime.sleep(2)\n", NULL };
    struct box_job job = shell_job(argv);
    struct error err;
    struct box_outcome o;
    if (box_run(other, &job, &o, &err) < 0)
        return (void *)(uintptr_t) "the neighbour did not run";
    const char *result = o.facts.exit_code == 0 ? NULL : "the neighbour could not lock";
    box_outcome_done(&o);
    return (void *)(uintptr_t)result;
}

static void isolate_refuses_locks(void **state)
{
    (void)state;
    needs_isolate();
    struct box_outcome o = run_python("import fcntl\nf = open('/usr/bin/env')\n"
                                      "for call in (fcntl.flock, fcntl.lockf):\n"
                                      "  try: call(f, fcntl.LOCK_SH | fcntl.LOCK_NB); print('locked')\n"
                                      "  except OSError as e: print(e.errno in (1, 38))\n", NULL);
    assert_string_equal(o.output.at, "True\nTrue\n");
    box_outcome_done(&o);
}

static void a_lock_on_a_shared_file_is_not_seen_next_door(void **state)
{
    (void)state;
    needs_native("isolate refuses locks instead");
    struct error err;
    struct box *other;
    assert_int_equal(box_open(sandbox, 1, &other, &err), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hold_a_lock, other), 0);
    (void)nanosleep(&(struct timespec){ .tv_nsec = 800000000 }, NULL);
    struct box_outcome o = run_python("import fcntl\nfor n in ('/usr/bin/env', '/etc/ld.so.cache'):\n"
                                      "  fcntl.flock(open(n), fcntl.LOCK_EX | fcntl.LOCK_NB); print('mine')\n", NULL);
    void *complaint;
    (void)pthread_join(thread, &complaint);
    assert_null(complaint);
    assert_string_equal(o.output.at, "mine\nmine\n");
    box_outcome_done(&o);
    box_close(other);
}

static void disk_and_file_sizes_are_limited(void **state)
{
    (void)state;
    struct limits l = easy;
    l.disk_bytes = 4 << 20;
    expect_output("true", "");
    struct box_outcome o = run_shell_with("head -c 8m /dev/zero > /box/a 2>/dev/null; stat -c %s /box/a", &l);
    assert_true(strtoull(o.output.at, NULL, 10) <= (4u << 20));
    box_outcome_done(&o);
    l = easy;
    l.file_bytes = 1 << 20;
    o = run_shell_with("head -c 2m /dev/zero > /box/a; echo \"$? $(stat -c %s /box/a)\"", &l);
    assert_string_equal(o.output.at, "153 1048576\n"); /* 128 + SIGXFSZ */
    box_outcome_done(&o);
    o = run_shell_with("for i in $(seq 20000); do : > /box/$i || break; done 2>/dev/null; ls /box | wc -l", NULL);
    assert_true(strtoull(o.output.at, NULL, 10) < 17000);
    box_outcome_done(&o);
}

static void files_go_in_and_come_out(void **state)
{
    (void)state;
    const struct file files[] = { { TEXT("main.sh"),
                                    TEXT("cat lib/a.txt > out.txt; cp main.sh keep.sh; chmod +x keep.sh") },
                                  { TEXT("lib/a.txt"), { "a\0b\n", 4 } },
                                  { TEXT("empty"), TEXT("") } };
    struct error err;
    int bundle;
    assert_int_equal(bundle_of_files(files, 3, &bundle, &err), 0);
    const char *const first[] = { "/usr/bin/bash", "-c", ". ./main.sh; ln -s /etc/passwd link; mkfifo pipe", NULL };
    struct box_job job = shell_job(first);
    job.bundle_fd = bundle;
    job.keep_files = true;
    struct box_outcome o = run_job(&job);
    assert_int_equal(o.facts.exit_code, 0);
    assert_true(o.bundle_fd >= 0);

    const char *const second[] = { "/usr/bin/bash", "-c",
                                   "find . -type f | sort | tr '\\n' ' '; stat -c %A keep.sh; od -c out.txt | head -1; "
                                   "find . -type l -o -type p | wc -l", NULL };
    struct box_job again = shell_job(second);
    again.bundle_fd = o.bundle_fd;
    struct box_outcome seen = run_job(&again);
    assert_string_equal(seen.output.at, "./empty ./keep.sh ./lib/a.txt ./main.sh ./out.txt -rwxr-xr-x\n"
                                        "0000000   a  \\0   b  \\n\n0\n");
    box_outcome_done(&seen);
    box_outcome_done(&o);
    (void)close(bundle);
}

/* A bundle that names what it must not is refused before any program starts. */
static void a_hostile_bundle_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "../x", "/etc/x", "a/../../x", "a//b", ".", "a/.", "" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = memfd_create("hostile", 0);
        struct bundle_entry entry = { .name_len = (uint32_t)strlen(names[i]), .mode = 0644, .size = 1 };
        assert_int_equal(write(fd, BUNDLE_MAGIC, 8), 8);
        assert_int_equal(write(fd, &entry, sizeof entry), sizeof entry);
        assert_int_equal(write(fd, names[i], entry.name_len), entry.name_len);
        assert_int_equal(write(fd, "x", 1), 1);
        const char *const argv[] = { "/usr/bin/true", NULL };
        struct box_job job = shell_job(argv);
        job.bundle_fd = fd;
        struct box_outcome o;
        struct error err;
        assert_int_equal(box_run(box, &job, &o, &err), -1);
        assert_non_null(strstr(err.text, "unpack"));
        (void)close(fd);
    }
    expect_output("echo fine", "fine\n");
}

static void what_cannot_be_executed_is_the_programs_fault(void **state)
{
    (void)state;
    const char *const argv[] = { "/box/none", NULL };
    struct box_job job = shell_job(argv);
    struct box_outcome o = run_job(&job);
    assert_int_equal(o.facts.exit_code, 127);
    assert_non_null(strstr(o.errors.at, is_native() ? "cannot execute /box/none" : "execve(\"/box/none\")"));
    box_outcome_done(&o);
}

static void *cancel_soon(void *unused)
{
    (void)unused;
    (void)nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    box_cancel(box);
    return NULL;
}

static void a_run_can_be_cancelled(void **state)
{
    (void)state;
    box_cancel(box); /* nothing runs: nothing happens */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    struct box_outcome o = run_shell_with("sleep 8", NULL);
    (void)pthread_join(thread, NULL);
    assert_true(o.facts.cancelled);
    assert_true(o.facts.wall_us < 5000000);
    box_outcome_done(&o);
    expect_output("echo next", "next\n");
}

/* The root side is a chain: our child is the guardian, its child the launcher, whose child is the slot. */
static pid_t first_child_of(pid_t parent)
{
    char path[64];
    int pid = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *list = fopen(path, "re");
    assert_non_null(list);
    if (fscanf(list, "%d", &pid) != 1)
        pid = 0;
    (void)fclose(list);
    return pid;
}

static void expect_recovery(void)
{
    const char *const argv[] = { "/usr/bin/true", NULL };
    struct box_job job = shell_job(argv);
    struct box_outcome o;
    struct error err;
    bool recovered = false;
    for (int tries = 0; tries < 3 && !recovered; tries++) {
        recovered = box_run(box, &job, &o, &err) == 0;
        if (recovered)
            box_outcome_done(&o);
        else
            print_message("  %s\n", err.text);
    }
    assert_true(recovered);
}

static void a_broken_slot_is_repaired(void **state)
{
    (void)state;
    pid_t slot = first_child_of(first_child_of(first_child_of(getpid())));
    assert_true(slot > 1);
    assert_int_equal(kill(slot, SIGKILL), 0);
    expect_recovery();
}

static void a_dead_launcher_is_replaced(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        pid_t launcher = first_child_of(first_child_of(getpid()));
        assert_true(launcher > 1);
        assert_int_equal(kill(launcher, SIGKILL), 0);
        if (round > 0) /* also when the new one has long been there */
            (void)nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
        expect_recovery();
    }
    /* A question on the control line right after a death: a new box. */
    struct error err;
    struct box *other;
    assert_int_equal(kill(first_child_of(first_child_of(getpid())), SIGKILL), 0);
    if (box_open(sandbox, 1, &other, &err) < 0)
        fail_msg("box_open: %s", err.text);
    box_close(other);
    expect_recovery();
}

static void many_runs_leave_nothing(void **state)
{
    (void)state;
    uint64_t begun = clock_mono_us();
    const char *const argv[] = { "/usr/bin/true", NULL };
    struct box_job job = shell_job(argv);
    for (int i = 0; i < 300; i++) {
        struct box_outcome o = run_job(&job);
        assert_int_equal(o.facts.exit_code, 0);
        box_outcome_done(&o);
    }
    print_message("  300 runs of true: %llu us each\n", (unsigned long long)(clock_mono_us() - begun) / 300);
}

static int start(void **state)
{
    (void)state;
    struct error err;
    struct sandbox_settings settings = { .images_folder = "/opt/evalx/chroots", .uid_base = 2000000000,
                                         .driver = driver };
    if (sandbox_start(&settings, &sandbox, &err) < 0 || sandbox_image(sandbox, "host", &err) < 0 ||
        box_open(sandbox, 0, &box, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    assert_int_equal(sandbox_is_native(sandbox), is_native());
    print_message("driver %s, cgroup %s\n", sandbox_driver(sandbox), sandbox_cgroup(sandbox));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    box_close(box);
    sandbox_stop(sandbox);
    return 0;
}

static bool isolate_is_installed(void)
{
    char line[128] = "";
    FILE *out = popen("isolate --version 2>/dev/null", "re");
    if (out != NULL) {
        (void)!fgets(line, sizeof line, out);
        (void)pclose(out);
    }
    return strstr(line, "isolator 2.") != NULL;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        driver = argv[1];
    if (geteuid() != 0) {
        print_message("skipped: the sandbox needs root\n");
        return 77;
    }
    if (!is_native() && !isolate_is_installed()) {
        print_message("skipped: there is no isolate 2.x on PATH\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_runs_and_its_facts_are_told),
        cmocka_unit_test(a_signal_is_told),
        cmocka_unit_test(stdin_arrives_byte_for_byte),
        cmocka_unit_test(output_is_cut_at_its_limit_and_no_byte_before),
        cmocka_unit_test(time_limits_end_a_program),
        cmocka_unit_test(memory_is_limited_and_measured),
        cmocka_unit_test(processes_are_limited_and_none_survives),
        cmocka_unit_test(nothing_passes_from_one_run_to_the_next),
        cmocka_unit_test(the_image_is_read_only_and_shows_nothing_of_the_host),
        cmocka_unit_test(proc_shows_processes_alone),
        cmocka_unit_test(a_program_is_given_what_was_asked_and_no_more),
        cmocka_unit_test(a_program_has_no_powers),
        cmocka_unit_test(isolate_gives_no_powers),
        cmocka_unit_test(there_is_no_network),
        cmocka_unit_test(isolate_reaches_no_network),
        cmocka_unit_test(refused_calls_say_so),
        cmocka_unit_test(isolate_refuses_locks),
        cmocka_unit_test(a_lock_on_a_shared_file_is_not_seen_next_door),
        cmocka_unit_test(disk_and_file_sizes_are_limited),
        cmocka_unit_test(files_go_in_and_come_out),
        cmocka_unit_test(a_hostile_bundle_is_refused),
        cmocka_unit_test(what_cannot_be_executed_is_the_programs_fault),
        cmocka_unit_test(a_run_can_be_cancelled),
        cmocka_unit_test(a_broken_slot_is_repaired),
        cmocka_unit_test(a_dead_launcher_is_replaced),
        cmocka_unit_test(many_runs_leave_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
