/* limits_run: see the header. */
#include "limits_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shared_host.h"
#include "base/cleanup.h"
#include "sandbox/archive.h"

const struct limits limits_run_easy = {
    .cpu_us = 5000000,
    .wall_us = 10000000,
    .memory_bytes = 512 << 20,
    .stack_bytes = 8 << 20,
    .output_bytes = 1 << 20,
    .file_bytes = 64 << 20,
    .disk_bytes = 64 << 20,
    .processes = 1200,
    .open_files = 256,
};

/* As after a compile: one executable file. */
static int archive_of_program(const char *path, struct error *err)
{
    static const char name[] = "program";
    auto_close int from = open(path, O_RDONLY | O_CLOEXEC);
    auto_close int archive = memfd_create("program", MFD_CLOEXEC);
    struct stat st;
    if (from < 0 || archive < 0 || fstat(from, &st) < 0)
        return error_set(err, ERROR_SETUP, errno, "open %s", path);
    struct archive_entry entry = { .name_len = sizeof name - 1, .mode = 0755, .size = (uint64_t)st.st_size };
    if (write(archive, ARCHIVE_MAGIC, 8) != 8 || write(archive, &entry, sizeof entry) != (ssize_t)sizeof entry ||
        write(archive, name, sizeof name - 1) != (ssize_t)sizeof name - 1)
        return error_set(err, ERROR_SETUP, errno, "write the archive");
    for (off_t left = st.st_size; left > 0;) {
        ssize_t sent = sendfile(archive, from, NULL, (size_t)left);
        if (sent <= 0)
            return error_set(err, ERROR_SETUP, errno, "copy %s", path);
        left -= sent;
    }
    return take_fd(&archive);
}

int limits_run_open(struct limits_run *run, const char *program, struct error *err)
{
    const struct sandbox_settings settings = { .images_folder = "/opt/evalx/chroots", .uid_base = free_uids() };
    *run = (struct limits_run){ .program = archive_of_program(program, err) };
    if (run->program < 0 || sandbox_start(&settings, &run->sandbox, err) < 0 ||
        sandbox_image(run->sandbox, "host", err) < 0 || sandbox_slot_open(run->sandbox, 0, &run->slot, err) < 0) {
        limits_run_close(run);
        return -1;
    }
    return 0;
}

void limits_run_close(struct limits_run *run)
{
    sandbox_slot_close(run->slot);
    sandbox_stop(run->sandbox);
    cleanup_close(&run->program);
    *run = (struct limits_run){ .program = -1 };
}

int limits_run_program(struct limits_run *run, const char *what, const char *number, const struct limits *limits,
                       struct run_outcome *ret, struct error *err)
{
    const char *const argv[] = { "/box/program", what, number, NULL };
    const char *const env[] = { NULL };
    const struct run_request job = {
        .image = "host",
        .class = RUN_CLASS_NATIVE,
        .argv = (char *const *)(uintptr_t)argv,
        .env = (char *const *)(uintptr_t)env,
        .limits = *limits,
        .archive_fd = run->program,
    };
    return sandbox_run(run->slot, &job, ret, err);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

struct spread spread_of(uint64_t samples[], size_t len)
{
    qsort(samples, len, sizeof *samples, compare);
    return (struct spread){ samples[0], samples[len / 2], samples[(len * 99 + 99) / 100 - 1], samples[len - 1] };
}
