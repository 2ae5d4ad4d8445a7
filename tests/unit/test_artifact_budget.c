/* artifact_budget: what counts, where archives go, and that nothing stays counted. */
#include "cases.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "worker/artifact_budget.h"

#define MIB (UINT64_C(1) << 20)

static struct artifact_budget budget;

static int set_up(void **state)
{
    (void)state;
    budget = (struct artifact_budget){ .memory_max = 16 * MIB, .disk_max = 8 * MIB };
    artifact_budget_open(&budget, ".");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(budget.memory, 0);
    assert_int_equal(budget.disk, 0);
    artifact_budget_close(&budget);
    return 0;
}

static int archive_of(uint64_t bytes)
{
    int fd = memfd_create("archive", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)bytes), 0);
    assert_int_equal(pwrite(fd, "archive", 7, 0), 7);
    return fd;
}

static void an_archive_of_several_jobs_counts_once(void **state)
{
    (void)state;
    auto_close int first = archive_of(4 * MIB), same = fcntl(first, F_DUPFD_CLOEXEC, 3), other = archive_of(MIB);
    uint64_t bytes;

    assert_int_equal(artifact_budget_take(&budget, first, &bytes), ARTIFACT_FITS);
    assert_int_equal(bytes, 4 * MIB);
    assert_int_equal(artifact_budget_take(&budget, same, &bytes), ARTIFACT_FITS);
    assert_int_equal(bytes, 4 * MIB);
    assert_int_equal(budget.memory, 4 * MIB);
    artifact_budget_drop(&budget, other); /* was never counted */
    artifact_budget_drop(&budget, -1);
    artifact_budget_drop(&budget, first);
    assert_int_equal(budget.memory, 4 * MIB);
    artifact_budget_drop(&budget, same);
}

static void large_archives_leave_room_for_small_ones(void **state)
{
    (void)state;
    auto_close int large = archive_of(12 * MIB), middle = archive_of(2 * MIB), small = archive_of(MIB);
    uint64_t bytes;

    assert_int_equal(artifact_budget_take(&budget, large, &bytes), ARTIFACT_FITS);
    assert_int_equal(artifact_budget_take(&budget, middle, &bytes), ARTIFACT_SPILL);
    artifact_budget_spilled(&budget, -1, bytes); /* the disk failed */
    assert_int_equal(artifact_budget_take(&budget, small, &bytes), ARTIFACT_FITS);
    artifact_budget_drop(&budget, small);
    artifact_budget_drop(&budget, large);
}

static void what_is_on_the_disk_has_no_name_and_cannot_be_written(void **state)
{
    (void)state;
    auto_close int first = archive_of(5 * MIB), second = archive_of(5 * MIB);
    auto_close int file = -1;
    struct error err;
    struct stat status;
    char text[8] = "";
    uint64_t bytes, ignored;

    budget.memory_max = MIB;
    assert_int_equal(artifact_budget_take(&budget, first, &bytes), ARTIFACT_SPILL);
    assert_int_equal(budget.disk, 5 * MIB);
    assert_int_equal(artifact_budget_take(&budget, second, &ignored), ARTIFACT_NO_ROOM);
    assert_int_equal(artifact_spill(&budget, first, &file, &err), 0);
    artifact_budget_spilled(&budget, file, bytes);
    assert_int_equal(fstat(file, &status), 0);
    assert_int_equal(status.st_nlink, 0);
    assert_int_equal(status.st_size, 5 * MIB);
    assert_int_equal(pread(file, text, 7, 0), 7);
    assert_string_equal(text, "archive");
    assert_int_equal(pwrite(file, "x", 1, 0), -1);
    assert_int_equal(artifact_budget_take(&budget, file, &ignored), ARTIFACT_FITS); /* a second job */
    artifact_budget_drop(&budget, file);
    artifact_budget_drop(&budget, file);
}

static void without_a_folder_nothing_goes_to_the_disk(void **state)
{
    (void)state;
    auto_close int archive = archive_of(2 * MIB);
    uint64_t bytes;

    artifact_budget_close(&budget);
    artifact_budget_open(&budget, "no-such-folder");
    budget.memory_max = 0;
    assert_int_equal(artifact_budget_take(&budget, archive, &bytes), ARTIFACT_NO_ROOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_archive_of_several_jobs_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_archives_leave_room_for_small_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_on_the_disk_has_no_name_and_cannot_be_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_folder_nothing_goes_to_the_disk, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
