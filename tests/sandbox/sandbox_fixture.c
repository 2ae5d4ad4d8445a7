/* sandbox_fixture: see the header. */
#include "sandbox_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/archive.h"

static const char *backend = "native";

struct sandbox *sandbox;
struct sandbox_slot *slot;

struct limits easy = {
    .cpu_us = 5000000,
    .wall_us = 10000000,
    .memory_bytes = 256 << 20,
    .stack_bytes = 8 << 20,
    .output_bytes = 1 << 20,
    .file_bytes = 16 << 20,
    .disk_bytes = 32 << 20,
    .processes = 64,
    .open_files = 256,
};

static const char *const plain_env[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };

void pause_ms(unsigned ms)
{
    uint64_t us = slowed(ms * UINT64_C(1000));
    (void)nanosleep(&(struct timespec){ .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000 },
                    NULL);
}

bool is_native(void)
{
    return strcmp(backend, "native") == 0;
}

void needs_native(const char *why)
{
    if (!is_native()) {
        print_message("  skipped: %s\n", why);
        skip();
    }
}

void needs_isolate(void)
{
    if (is_native())
        skip();
}

int sandbox_fixture_start(void **state)
{
    (void)state;
    struct error err;
    struct sandbox_settings settings = {
        .images_folder = "/opt/evalx/chroots", .uid_base = free_uids(), .prestart = true, .backend = backend
    };
    if (sandbox_start(&settings, &sandbox, &err) < 0 || sandbox_image(sandbox, "host", &err) < 0 ||
        sandbox_slot_open(sandbox, 0, &slot, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    assert_int_equal(sandbox_is_native(sandbox), is_native());
    print_message("backend %s, cgroup %s\n", sandbox_backend(sandbox), sandbox_cgroup(sandbox));
    return 0;
}

int sandbox_fixture_stop(void **state)
{
    (void)state;
    sandbox_slot_close(slot);
    sandbox_stop(sandbox);
    return 0;
}

/* Only a missing command skips the tests.  Any other failure of isolate is a failure of the tests. */
static bool isolate_is_missing(void)
{
    struct error err = { 0 };
    struct sandbox *tried = NULL;
    struct sandbox_settings settings = { .images_folder = "/opt/evalx/chroots",
                                         .uid_base = free_uids(),
                                         .backend = backend };
    int result = sandbox_start(&settings, &tried, &err);
    if (result == 0)
        sandbox_stop(tried);
    bool missing = result < 0 && (strstr(err.text, "no isolate on PATH") != NULL ||
                                  strstr(err.text, "isolate 2.x is needed") != NULL);
    if (missing)
        print_message("skipped: %s\n", err.text);
    return missing;
}

bool sandbox_fixture_skipped(int argc, char **argv)
{
    if (argc > 1)
        backend = argv[1];
    easy.cpu_us = slowed(easy.cpu_us);
    easy.wall_us = slowed(easy.wall_us);
    if (geteuid() != 0) {
        print_message("skipped: the sandbox needs root\n");
        return true;
    }
    return !is_native() && isolate_is_missing();
}

void path_beside(const char *name, char path[4096])
{
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = '\0';
    *strrchr(self, '/') = '\0';
    assert_true(snprintf(path, 4096, "%s/%s", self, name) < 4096);
}

int archive_of_program(const char *name, unsigned padding_mib)
{
    static const char zeros[1 << 20];
    char path[4096];
    struct stat st;
    path_beside(name, path);
    auto_close int from = open(path, O_RDONLY | O_CLOEXEC);
    int archive = memfd_create("archive", MFD_CLOEXEC);
    assert_true(from >= 0 && archive >= 0 && fstat(from, &st) == 0);
    const struct archive_entry entry = { .name_len = sizeof "program" - 1,
                                         .mode = 0755,
                                         .size = (uint64_t)st.st_size + padding_mib * sizeof zeros };
    assert_int_equal(write(archive, ARCHIVE_MAGIC, sizeof ARCHIVE_MAGIC - 1), sizeof ARCHIVE_MAGIC - 1);
    assert_int_equal(write(archive, &entry, sizeof entry), sizeof entry);
    assert_int_equal(write(archive, "program", entry.name_len), entry.name_len);
    assert_int_equal(sendfile(archive, from, NULL, (size_t)st.st_size), st.st_size);
    for (unsigned i = 0; i < padding_mib; i++)
        assert_int_equal(write(archive, zeros, sizeof zeros), sizeof zeros);
    return archive;
}

struct run_request shell_job(const char *const argv[])
{
    return (struct run_request){ .image = "host",
                                 .class = RUN_CLASS_NATIVE,
                                 .argv = (char *const *)argv,
                                 .env = (char *const *)plain_env,
                                 .limits = easy,
                                 .archive_fd = -1 };
}

struct run_outcome run_job(const struct run_request *job)
{
    struct error err;
    struct run_outcome outcome;
    if (sandbox_run(slot, job, &outcome, &err) < 0)
        fail_msg("sandbox_run: %s", err.text);
    return outcome;
}

struct run_outcome run_shell_with(const char *script, const struct limits *limits)
{
    const char *const argv[] = { "/usr/bin/bash", "-c", script, NULL };
    struct run_request job = shell_job(argv);
    if (limits != NULL)
        job.limits = *limits;
    return run_job(&job);
}

void expect_output(const char *script, const char *expected)
{
    struct run_outcome o = run_shell_with(script, NULL);
    if (o.errors.len > 0)
        print_message("  stderr: %s", o.errors.at);
    assert_string_equal(o.output.at != NULL ? o.output.at : "", expected);
    run_outcome_done(&o);
}

struct run_outcome run_python(const char *program, const struct limits *limits)
{
    const char *const argv[] = { "/usr/bin/python3", "-c", program, NULL };
    struct run_request job = shell_job(argv);
    if (limits != NULL)
        job.limits = *limits;
    return run_job(&job);
}
