/*
 * bench_run: the time that a box adds to a program: sandbox_run and posix_spawn with wait4 of the same program, in
 * turn.
 *
 *   bench_run [--rounds N] [--json] TINY STATIC [CPP [CLASS]]         (as root; meson test --benchmark run runs it)
 *
 * TINY, STATIC and CPP are executables, and CLASS is the Main.class of a Java program.  They are copied into the box as
 * artifacts are.  Dynamic programs and interpreters are those of the image.  Both sides read the output from pipes to
 * its end.  `added` is sandbox_run's median minus posix_spawn's median of the same rounds, so that other load of the
 * machine affects both alike.  --json prints every sample.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "model/submission.h"
#include "sandbox/archive.h"
#include "sandbox/sandbox.h"

#define SAMPLES_MAX 20000
/* A client does not send its next request in the same microsecond, and standby boxes take a moment to make. */
#define PAUSE_US 3000
#define WORDS_MAX 12

static const char *const environment[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };

struct subject {
    const char *name;
    const char *file;      /* is copied into the box; NULL: argv names a program of the image */
    const char *file_name; /* its name there */
    const char *argv[WORDS_MAX];
    const char *source; /* content of the source file, for interpreters; NULL: none */
    const char *source_name;
    enum run_class class;
    unsigned weight;   /* the program takes one round of so many */
    bool may_prestart; /* its interpreter may be prestarted */
};

struct samples {
    uint64_t us[SAMPLES_MAX];
    size_t len;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(struct samples *samples, double part)
{
    qsort(samples->us, samples->len, sizeof *samples->us, compare);
    return samples->len == 0 ? 0 : (double)samples->us[(size_t)(part * (double)(samples->len - 1))];
}

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_run: %s: %s\n", what, why);
    exit(1);
}

static void read_to_end(int fd)
{
    char bytes[4096];
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
    (void)close(fd);
}

static uint64_t spawn_once(char *const argv[])
{
    int out[2], errs[2], status;
    pid_t pid;
    uint64_t begin = clock_mono_us();
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0)
        die("pipe", strerror(errno));
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    (void)posix_spawn_file_actions_adddup2(&actions, errs[1], 2);
    int os = posix_spawn(&pid, argv[0], &actions, NULL, argv, (char *const *)environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (os != 0)
        die(argv[0], strerror(os));
    (void)close(out[1]);
    (void)close(errs[1]);
    read_to_end(out[0]);
    read_to_end(errs[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die(argv[0], "did not end well");
    return clock_mono_us() - begin;
}

static uint64_t box_once(struct sandbox_slot *slot, const struct subject *program, int archive, uint64_t *ret_own_us)
{
    struct error err;
    struct run_outcome outcome;
    struct run_request job = {
        .image = "host",
        .class = program->class,
        .argv = (char *const *)program->argv,
        .env = (char *const *)environment,
        .limits = { .cpu_us = 5000000,
                    .wall_us = 10000000,
                    .memory_bytes = 512 << 20,
                    .stack_bytes = 8 << 20,
                    .output_bytes = 1 << 20,
                    .file_bytes = 16 << 20,
                    .disk_bytes = 64 << 20,
                    .processes = 128,
                    .open_files = 256 },
        .archive_fd = archive,
        .prestart_source = program->may_prestart ? program->source_name : NULL,
    };
    uint64_t begin = clock_mono_us();
    if (sandbox_run(slot, &job, &outcome, &err) < 0)
        die(program->name, err.text);
    uint64_t spent = clock_mono_us() - begin;
    if (outcome.stats.exit_code != 0 || outcome.stats.signal != 0)
        die(program->name, outcome.errors.len > 0 ? outcome.errors.at : "did not end well in the box");
    if (program->source != NULL && (outcome.output.len != 6 || memcmp(outcome.output.at, "hello\n", 6) != 0))
        die(program->name, "did not say hello");
    *ret_own_us = outcome.stats.wall_us;
    run_outcome_done(&outcome);
    return spent;
}

static int archive_of(const struct subject *program)
{
    struct error err;
    int fd = -1;
    if (program->source == NULL)
        return -1;
    struct file file = { .name = text_of(program->source_name), .content = text_of(program->source) };
    if (archive_of_files(&file, 1, &fd, &err) < 0)
        die("bundle", err.text);
    return fd;
}

/* As after a compile: one executable file. */
static int archive_of_executable(const char *path, const char *name)
{
    auto_close int from = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = from < 0 ? -1 : lseek(from, 0, SEEK_END);
    int fd = memfd_create("artifact", MFD_CLOEXEC);
    if (size < 0 || fd < 0)
        die(path, strerror(errno));
    struct archive_entry entry = { .name_len = (uint16_t)strlen(name), .mode = 0755, .size = (uint64_t)size };
    char *content = malloc((size_t)size);
    if (content == NULL || pread(from, content, (size_t)size, 0) != size)
        die(path, "cannot be read");
    if (write(fd, ARCHIVE_MAGIC, sizeof ARCHIVE_MAGIC - 1) < 0 || write(fd, &entry, sizeof entry) < 0 ||
        write(fd, name, strlen(name)) < 0 || write(fd, content, (size_t)size) != size)
        die(path, strerror(errno));
    free(content);
    return fd;
}

static void write_source(const char *folder, const struct subject *program, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%s", folder, program->source_name);
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, program->source, strlen(program->source)) < 0)
        die(path, strerror(errno));
}

/* The program's argv on the host, with the paths there. */
static void find_host_argv(const struct subject *program, const char *folder, char *path, size_t size,
                           const char *ret_argv[WORDS_MAX])
{
    memcpy(ret_argv, program->argv, sizeof program->argv);
    if (program->source != NULL) {
        write_source(folder, program, path, size);
        ret_argv[1] = path;
    } else if (program->file != NULL && program->class != RUN_CLASS_RUNTIME) {
        ret_argv[0] = program->file;
    } else if (program->file != NULL) {
        (void)snprintf(path, size, "%s", program->file);
        *strrchr(path, '/') = '\0';
        for (size_t i = 0; ret_argv[i] != NULL; i++)
            if (strcmp(ret_argv[i], "/box") == 0)
                ret_argv[i] = path;
    }
}

static void print_samples(const char *name, const struct samples *samples, const char *end)
{
    (void)printf("\"%s\": [", name);
    for (size_t i = 0; i < samples->len; i++)
        (void)printf("%s%" PRIu64, i > 0 ? "," : "", samples->us[i]);
    (void)printf("]%s", end);
}

static void print_row(const struct subject *program, struct samples *spawn_us, struct samples *box_us,
                      struct samples *own_us, bool json)
{
    if (json) {
        (void)printf("{\"program\": \"%s\", ", program->name);
        print_samples("spawn_us", spawn_us, ", ");
        print_samples("box_us", box_us, ", ");
        print_samples("own_us", own_us, "}\n");
    } else {
        double base = percentile(spawn_us, 0.5), ours = percentile(box_us, 0.5);
        (void)printf("%-14s %6zu %10.0f %10.0f %10.0f %10.0f %10.0f %10.0f %8.2f\n", program->name, box_us->len, base,
                     percentile(spawn_us, 0.99), ours, percentile(box_us, 0.99), percentile(own_us, 0.5), ours - base,
                     ours / base);
    }
    (void)fflush(stdout);
}

static void measure(struct sandbox_slot *slot, const struct subject *program, const char *folder, unsigned rounds,
                    bool json)
{
    static struct samples spawn_us, box_us, own_us;
    char path[4096];
    const char *host_argv[WORDS_MAX];
    int archive =
        program->file != NULL ? archive_of_executable(program->file, program->file_name) : archive_of(program);
    find_host_argv(program, folder, path, sizeof path, host_argv);
    spawn_us.len = box_us.len = own_us.len = 0;
    for (unsigned i = 0; i < rounds / program->weight + 5; i++) {
        uint64_t own;
        (void)usleep(PAUSE_US * program->weight);
        uint64_t spawned = spawn_once((char *const *)host_argv);
        (void)usleep(PAUSE_US * program->weight);
        uint64_t boxed = box_once(slot, program, archive, &own);
        if (i < 5 || box_us.len == SAMPLES_MAX)
            continue; /* the first find no standby box */
        spawn_us.us[spawn_us.len++] = spawned;
        box_us.us[box_us.len++] = boxed;
        own_us.us[own_us.len++] = own;
    }
    print_row(program, &spawn_us, &box_us, &own_us, json);
    if (archive >= 0)
        (void)close(archive);
}

static bool is_there(const struct subject *program)
{
    return program->file_name != NULL ? program->file != NULL : access(program->argv[0], X_OK) == 0;
}

static void remove_sources(const char *folder)
{
    static const char *const left[] = { "main.py", "main.js", "main.rb", "main.php", "main.pl" };
    auto_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        (void)unlinkat(dir, left[i], 0);
    (void)rmdir(folder);
}

/* `files`: TINY, STATIC, CPP and CLASS; NULL if not given. */
static void measure_all(struct sandbox_slot *slot, char *const files[4], unsigned rounds, bool json)
{
    const struct subject programs[] = {
        { .name = "tiny static", .file = files[0], .file_name = "main", .argv = { "/box/main" }, .weight = 1 },
        { .name = "static C", .file = files[1], .file_name = "main", .argv = { "/box/main" }, .weight = 1 },
        { .name = "C++", .file = files[2], .file_name = "main", .argv = { "/box/main" }, .weight = 1 },
        { .name = "Java",
          .file = files[3],
          .file_name = "Main.class",
          .argv = { "/usr/bin/java", "-Xmx256m", "-Xss64m", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData",
                    "-cp", "/box", "Main" },
          .class = RUN_CLASS_RUNTIME,
          .weight = 6 },
        { .name = "dynamic", .argv = { "/usr/bin/true" }, .weight = 1 },
        { .name = "Python",
          .argv = { "/usr/bin/python3", "/box/main.py" },
          .source = "print('hello')\n",
          .source_name = "main.py",
          .weight = 3,
          .may_prestart = true },
        { .name = "Node",
          .argv = { "/usr/bin/node", "/box/main.js" },
          .source = "console.log('hello')\n",
          .source_name = "main.js",
          .class = RUN_CLASS_RUNTIME,
          .weight = 6,
          .may_prestart = true },
        { .name = "Ruby",
          .argv = { "/usr/bin/ruby", "/box/main.rb" },
          .source = "puts 'hello'\n",
          .source_name = "main.rb",
          .weight = 6 },
        { .name = "PHP",
          .argv = { "/usr/bin/php", "/box/main.php" },
          .source = "<?php echo \"hello\\n\";\n",
          .source_name = "main.php",
          .weight = 6 },
        { .name = "Perl",
          .argv = { "/usr/bin/perl", "/box/main.pl" },
          .source = "print \"hello\\n\";\n",
          .source_name = "main.pl",
          .weight = 2 },
    };
    char folder[] = "/tmp/evalx-bench-XXXXXX";
    if (mkdtemp(folder) == NULL)
        die("mkdtemp", strerror(errno));
    if (!json)
        (void)printf("%-14s %6s %10s %10s %10s %10s %10s %10s %8s\n", "us", "runs", "spawn", "p99", "box", "p99",
                     "its own", "added", "ratio");
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (is_there(&programs[i]))
            measure(slot, &programs[i], folder, rounds, json);
    remove_sources(folder);
}

int main(int argc, char **argv)
{
    unsigned rounds = 300;
    bool json = false;
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        json |= strcmp(argv[at], "--json") == 0;
        if (strcmp(argv[at], "--rounds") == 0 && at + 1 < argc)
            rounds = (unsigned)strtoul(argv[++at], NULL, 10);
    }
    if (geteuid() != 0 || argc - at < 2) {
        (void)fprintf(stderr, "usage: bench_run [--rounds N] [--json] TINY STATIC [CPP [CLASS]]   (as root)\n");
        return geteuid() != 0 ? 77 : 2;
    }
    char *files[4] = { NULL };
    for (int i = 0; i < 4 && at + i < argc; i++)
        files[i] = argv[at + i];
    struct sandbox *sandbox;
    struct sandbox_slot *slot;
    struct error err;
    struct sandbox_settings settings = { .images_folder = "/opt/evalx/chroots",
                                         .uid_base = 1900000000,
                                         .prestart = true };
    if (sandbox_start(&settings, &sandbox, &err) < 0 || sandbox_image(sandbox, "host", &err) < 0 ||
        sandbox_slot_open(sandbox, 0, &slot, &err) < 0)
        die("sandbox", err.text);
    measure_all(slot, files, rounds, json);
    sandbox_slot_close(slot);
    sandbox_stop(sandbox);
    return 0;
}
