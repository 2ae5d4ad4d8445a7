/* self_test: runs the probe and evaluates its outcome. */
#include "sandbox/self_test.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/landlock.h"
#include "sandbox/protocol.h"

static const struct limits probe_limits = {
    .cpu_us = 10000000, /* the probe takes milliseconds; on an emulated or overloaded machine, seconds */
    .wall_us = 60000000,
    .memory_bytes = 128 << 20,
    .stack_bytes = 1 << 20,
    .output_bytes = 16 << 10,
    .file_bytes = 1 << 20,
    .disk_bytes = 1 << 20,
    .processes = PROBE_PROCESSES_MAX / 2,
    .open_files = PROBE_OPEN_FILES_MAX,
};

/* Checks what the cgroup has counted.  The probe cannot, because it does not see its own cgroup. */
static int check_stats(const struct run_stats *stats, const char *cgroup, struct error *err)
{
    bool counts_peak = strcmp(cgroup, "v2") != 0 || stats->memory_bytes > 0; /* memory.peak: Linux 5.19 */

    if (stats->cpu_us == 0)
        return error_set(err, ERROR_SETUP, 0, "CPU time: the run's cgroup has counted none");
    if (counts_peak && stats->memory_bytes < PROBE_MEMORY_BYTES)
        return error_set(err, ERROR_SETUP, 0, "memory: the run's cgroup has counted %" PRIu64 " of %u bytes",
                         stats->memory_bytes, PROBE_MEMORY_BYTES);
    if (stats->processes_denied == 0)
        return error_set(err, ERROR_SETUP, 0, "process limit: the run's cgroup has denied no process");
    return 0;
}

/* The failed checks, one per line, as one line. */
static const char *join_lines(const struct buf *lines, char ret[400])
{
    size_t len = lines->len - 1 < 399 ? lines->len - 1 : 399; /* without the final newline */

    for (size_t i = 0; i < len; i++)
        ret[i] = lines->at[i] == '\n' ? ';' : lines->at[i];
    ret[len] = '\0';
    return ret;
}

int self_test_judge(const struct run_outcome *outcome, const char *cgroup, struct error *err)
{
    const struct run_stats *stats = &outcome->stats;
    struct text errors = buf_text(&outcome->errors);
    char failed[400];

    if (outcome->output.len > 0)
        return error_set(err, ERROR_SETUP, 0, "failed isolation checks: %s", join_lines(&outcome->output, failed));
    if (stats->signal != 0 || stats->exit_code != 0)
        return error_set(err, ERROR_SETUP, 0, "the probe ended with signal %d, exit code %d: %.*s", stats->signal,
                         stats->exit_code, (int)errors.len, errors.len > 0 ? errors.at : "");
    return strcmp(cgroup, "none") == 0 ? 0 : check_stats(stats, cgroup, err);
}

static int run_probe(struct sandbox_slot *slot, const char *image, const char *cgroup, struct error *err)
{
    char *const argv[] = { (char *)(uintptr_t) "probe", NULL };
    char *const env[] = { landlock_is_available() ? NULL : (char *)(uintptr_t)PROBE_WITHOUT_LANDLOCK "=1", NULL };
    const struct run_request request = {
        .image = image,
        .class = RUN_CLASS_NATIVE,
        .argv = argv,
        .env = env,
        .limits = probe_limits,
        .archive_fd = -1,
        .self_test = true,
    };
    struct run_outcome outcome;

    if (sandbox_run(slot, &request, &outcome, err) < 0)
        return -1;
    int result = self_test_judge(&outcome, cgroup, err);
    run_outcome_done(&outcome);
    return result;
}

int self_test_slot(struct sandbox *sandbox, struct sandbox_slot *slot, const char *image, struct error *err)
{
    if (!sandbox_is_native(sandbox) || run_probe(slot, image, sandbox_cgroup(sandbox), err) == 0)
        return 0;
    err->kind = ERROR_SANDBOX;
    return error_within(err, "sandbox self-test in image %s", image);
}

int self_test_run(struct sandbox *sandbox, const char *image, uint64_t *ret_us, struct error *err)
{
    uint64_t begun_us = clock_mono_us();
    struct sandbox_slot *slot = NULL;

    int result = sandbox_slot_open(sandbox, 0, &slot, err);
    if (result == 0)
        result = run_probe(slot, image, sandbox_cgroup(sandbox), err);
    sandbox_slot_close(slot);
    if (result < 0) {
        err->kind = ERROR_SETUP;
        return error_within(err, "sandbox self-test");
    }
    *ret_us = clock_mono_us() - begun_us;
    return 0;
}
