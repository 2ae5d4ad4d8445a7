/*
 * Walks over system calls and their arguments, and compares the answers of the filters with the table.  The
 * filters are run here by an interpreter, so that no call is made.  tests/sandbox/test_syscalls.c makes them in a box.
 */
#include "sandboxd/seccomp_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "sandboxd/seccomp_program.h"
#include "sandboxd/seccomp_table.h"

#define LEN(array) (sizeof(array) / sizeof *(array))
#define CALLS_MAX 1024
#define CONSTANTS_MAX 65536
#define ENOSYS_ANSWER (SECCOMP_RET_ERRNO | ENOSYS)

/* One kind of process: the filters it has, newest last, and the rows that are for it. */
struct view {
    const char *name;
    uint32_t who, deny, foreign;
    const struct sock_fprog *filters[2];
};

static struct seccomp_filters filters;
static struct view views[3 + 4 * RUN_CLASS_COUNT_];
static size_t views_len;
/* The table's rows of a call, by its number. */
static struct {
    size_t first, end;
} rows_of[CALLS_MAX];
static uint64_t constants[CONSTANTS_MAX];
static size_t constants_len;
static uint64_t compared;

/* ---- what the kernel does ---- */

static uint32_t load(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t word;
    assert_true(offset % 4 == 0 && offset < sizeof *data);
    memcpy(&word, (const char *)data + offset, sizeof word);
    return word;
}

static uint32_t run_filter(const struct sock_fprog *program, const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (const struct sock_filter *at = program->filter;; at++) {
        switch (at->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = load(data, at->k);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= at->k;
            break;
        case BPF_JMP | BPF_JA:
            at += at->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == at->k ? at->jt : at->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            at += a >= at->k ? at->jt : at->jf;
            break;
        case BPF_RET | BPF_K:
            return at->k;
        default:
            fail_msg("instruction %zd: code %#x", at - program->filter, at->code);
        }
    }
}

/* The newest filter is asked first, and the lowest answer wins. */
static uint32_t answer_of(const struct view *view, const struct seccomp_data *data)
{
    uint32_t answer = SECCOMP_RET_ALLOW;
    for (int i = 1; i >= 0; i--) {
        if (view->filters[i] == NULL)
            continue;
        uint32_t other = run_filter(view->filters[i], data);
        if ((int32_t)(other & SECCOMP_RET_ACTION_FULL) < (int32_t)(answer & SECCOMP_RET_ACTION_FULL))
            answer = other;
    }
    return answer;
}

/* ---- the answers of the table ---- */

static bool fits(const struct seccomp_row *row, const struct seccomp_data *data)
{
    for (size_t i = 0; i < SECCOMP_CONDITIONS_MAX && row->when[i].mask != 0; i++) {
        const struct seccomp_condition *c = &row->when[i];
        uint64_t argument = data->args[c->argument];
        uint32_t half = (uint32_t)(c->is_upper ? argument >> 32 : argument);
        if ((half & c->mask) != c->value)
            return false;
    }
    return true;
}

static uint32_t said_of(const struct view *view, const struct seccomp_data *data)
{
    uint32_t number = (uint32_t)data->nr;
    if (data->arch != seccomp_arch_native() || (number >= SECCOMP_X32_FIRST && number < SECCOMP_X32_END))
        return view->foreign;
    for (size_t i = number < CALLS_MAX ? rows_of[number].first : 0; number < CALLS_MAX && i < rows_of[number].end;
         i++) {
        const struct seccomp_row *row = &seccomp_rows[i];
        if ((row->who & view->who) == 0 || !fits(row, data))
            continue;
        if (row->answer == SECCOMP_ALLOW)
            return SECCOMP_RET_ALLOW;
        return row->answer == SECCOMP_DENY ? view->deny : SECCOMP_RET_ERRNO | (uint32_t)row->answer;
    }
    return ENOSYS_ANSWER;
}

static void compare(const struct seccomp_data *data)
{
    for (size_t i = 0; i < views_len; i++) {
        uint32_t answer = answer_of(&views[i], data), said = said_of(&views[i], data);
        compared++;
        if (answer != said)
            fail_msg("%s: call %#x of %#x (%#llx, %#llx, %#llx): the filter answers %#x, the table has %#x",
                     views[i].name, (unsigned)data->nr, data->arch, (unsigned long long)data->args[0],
                     (unsigned long long)data->args[1], (unsigned long long)data->args[2], answer, said);
    }
}

/* ---- walks ---- */

static uint64_t random_word(void)
{
    static uint64_t state = 88172645463325252u; /* xorshift: the same walk each time */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* The upper half of an int is the program's. */
static uint64_t int_argument(uint64_t value)
{
    return random_word() % 4 != 0 ? value : value | random_word() << 32;
}

static int number_of(const char *call)
{
    int number = seccomp_syscall_resolve_name(call);
    assert_true(number >= 0 && number < CALLS_MAX);
    return number;
}

static void call(int number, uint64_t a, uint64_t b, uint64_t c)
{
    const struct seccomp_data data = { number, seccomp_arch_native(), 0, { a, b, c, random_word(), random_word(), 0 } };
    compare(&data);
}

static void every_number_has_the_answer_of_the_table(void **state)
{
    (void)state;
    static const uint32_t arches[] = { AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0 };
    static const uint64_t values[] = { 0, 1, ~0ull, 0xffffffffu, 1ull << 32 };
    for (size_t arch = 0; arch < LEN(arches); arch++)
        for (uint32_t number = 0; number < 8192; number++)
            for (size_t value = 0; value < LEN(values); value++) {
                const uint64_t v = values[value];
                const uint32_t first = number < 2048 ? 0 : number < 4096 ? SECCOMP_X32_FIRST - 4096 : 0x7ffff000u;
                const struct seccomp_data data = { (int)(first + number), arches[arch], 0, { v, v, v, v, v, v } };
                compare(&data);
            }
    for (int i = 0; i < 200000; i++) {
        uint32_t number = (uint32_t)(random_word() >> (random_word() % 2 ? 32 : 55));
        struct seccomp_data data = {
            (int)number, random_word() % 4 ? seccomp_arch_native() : AUDIT_ARCH_I386, 0, { 0 }
        };
        for (int k = 0; k < 6; k++)
            data.args[k] = random_word() >> (random_word() % 64);
        compare(&data);
    }
}

static void every_socket_has_the_answer_of_the_table(void **state)
{
    (void)state;
    const int calls[] = { number_of("socket"), number_of("socketpair") };
    static const uint64_t flags[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK, 0x10, 0x80000000u };
    for (size_t i = 0; i < LEN(calls); i++)
        for (uint64_t family = 0; family < 50; family++)
            for (uint64_t type = 0; type < 16; type++)
                for (size_t flag = 0; flag < LEN(flags); flag++)
                    for (uint64_t protocol = 0; protocol < 270; protocol += family < 11 || protocol < 20 ? 1 : 19)
                        call(calls[i], int_argument(family), int_argument(type | flags[flag]), int_argument(protocol));
}

static void every_option_has_the_answer_of_the_table(void **state)
{
    (void)state;
    const int calls[] = { number_of("setsockopt"), number_of("getsockopt") };
    for (size_t i = 0; i < LEN(calls); i++)
        for (uint64_t level = 0; level < 300; level++)
            for (uint64_t option = 0; option < 128; option++)
                call(calls[i], 3, int_argument(level), int_argument(option));
    for (size_t i = 0; i < LEN(calls); i++)
        for (size_t constant = 0; constant < constants_len; constant++)
            for (uint64_t level = 0; level < 2; level++)
                call(calls[i], 3, int_argument(level == 0 ? SOL_SOCKET : random_word() % 300),
                     int_argument(constants[constant]));
}

/* fcntl, ioctl, prctl and the like: the command decides. */
static void every_command_has_the_answer_of_the_table(void **state)
{
    (void)state;
    const struct {
        int number;
        int argument;
    } calls[] = { { number_of("fcntl"), 1 },
                  { number_of("ioctl"), 1 },
                  { number_of("prctl"), 0 },
                  { number_of("madvise"), 2 },
                  { number_of("mmap"), 3 },
                  { number_of("memfd_create"), 1 },
                  { number_of("personality"), 0 },
                  { number_of("clone"), 0 },
                  { number_of("pipe2"), 1 },
                  { number_of("openat"), 2 },
                  { number_of("mknodat"), 2 },
                  { number_of("prlimit64"), 1 },
                  { number_of("sched_setscheduler"), 1 } };
    static const uint64_t others[] = { 0, 1, O_DIRECT, O_ASYNC | O_NONBLOCK };
    for (size_t i = 0; i < LEN(calls); i++)
        for (uint64_t command = 0; command < 4096 + constants_len; command++)
            for (size_t other = 0; other < LEN(others); other++) {
                struct seccomp_data data = { calls[i].number, seccomp_arch_native(), 0, { 0 } };
                for (int k = 0; k < 6; k++)
                    data.args[k] = int_argument(others[other]);
                data.args[calls[i].argument] =
                    int_argument(command < 4096 ? command : constants[command - 4096] & 0xffffffffu);
                compare(&data);
            }
}

/* A value of the argument that meets the row's conditions; bits beside the masks are 0. */
static struct seccomp_data example_of(const struct seccomp_row *row)
{
    struct seccomp_data data = { number_of(row->call), seccomp_arch_native(), 0, { 0 } };
    for (size_t i = 0; i < SECCOMP_CONDITIONS_MAX && row->when[i].mask != 0; i++)
        data.args[row->when[i].argument] |= (uint64_t)row->when[i].value << (row->when[i].is_upper ? 32 : 0);
    return data;
}

/* A row that an earlier one hides would never decide. */
static void every_row_decides_something(void **state)
{
    (void)state;
    static const uint64_t more[] = { 0, 1, 2, ~0ull, 0xffff };
    for (size_t i = 0; i < seccomp_rows_len; i++) {
        const struct seccomp_row *row = &seccomp_rows[i];
        if (seccomp_syscall_resolve_name(row->call) < 0)
            continue;
        bool decides = false;
        for (int tries = 0; tries < 10000 && !decides; tries++) {
            struct seccomp_data data = example_of(row);
            for (int a = 0; a < 6; a++)
                data.args[a] |= more[random_word() % LEN(more)];
            if (!fits(row, &data))
                continue;
            size_t first = rows_of[data.nr].first;
            while (first < i && ((seccomp_rows[first].who & row->who) == 0 || !fits(&seccomp_rows[first], &data)))
                first++;
            decides = first == i;
            for (size_t v = 0; v < views_len && decides; v++)
                if ((row->who & views[v].who) != 0 && row->answer == SECCOMP_ALLOW)
                    assert_int_equal(said_of(&views[v], &data), SECCOMP_RET_ALLOW);
            compare(&data);
        }
        if (!decides)
            fail_msg("row %zu (%s, %s) never decides: an earlier row has all its calls", i, row->call, row->reason);
    }
}

/* So what a slot loads never takes away what its runs, which inherit it, may do. */
static void the_table_is_well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; i < seccomp_rows_len; i++) {
        const struct seccomp_row *row = &seccomp_rows[i];
        assert_true(row->who != 0 && row->answer >= SECCOMP_DENY && row->answer < 4096 && row->reason[0] != '\0');
        for (size_t k = i + 1; k < seccomp_rows_len; k++)
            if (strcmp(seccomp_rows[k].call, row->call) == 0 && strcmp(seccomp_rows[k - 1].call, row->call) != 0)
                fail_msg("the rows of %s do not stand together", row->call);
        for (size_t k = 0; k < SECCOMP_CONDITIONS_MAX && row->when[k].mask != 0; k++)
            assert_true((row->when[k].value & ~row->when[k].mask) == 0 && row->when[k].argument < 6);
    }
}

/* Loading a filter is a part of each run's time. */
static void the_filters_of_a_run_are_short(void **state)
{
    (void)state;
    print_message("slot %d, init %d instructions\n", filters.slot.len, filters.init.len);
    for (int class = 0; class < RUN_CLASS_COUNT_; class ++)
        for (int loopback = 0; loopback < 2; loopback++) {
            print_message("class %d, loopback %d: %d and %d\n", class, loopback, filters.program[class][loopback].len,
                          filters.kill[class][loopback].len);
            assert_true(filters.program[class][loopback].len < 272);
        }
}

/* ---- main ---- */

static void add_view(const char *name, uint32_t who, uint32_t deny, uint32_t foreign,
                     const struct sock_fprog *inherited, const struct sock_fprog *own)
{
    views[views_len++] = (struct view){ name, who, deny, foreign, { inherited, own } };
}

static void build(bool pin)
{
    struct error err;
    const uint32_t eperm = SECCOMP_RET_ERRNO | EPERM, notify = SECCOMP_RET_USER_NOTIF;
    const uint32_t every = pin ? 0 : FOR_UNPINNED;
    for (size_t i = 0; i < views_len; i++) /* of the build before */
        free(views[i].filters[1]->filter);
    assert_int_equal(seccomp_filters_build(pin, &filters, &err), 0);
    views_len = 0;
    add_view("slot", every | FOR_ALL | FOR_LOOPBACK | FOR_INIT | FOR_SLOT, eperm, notify, NULL, &filters.slot);
    add_view("init", every | FOR_NATIVE | FOR_INIT, eperm, notify, &filters.slot, &filters.init);
    add_view("init, kill", every | FOR_NATIVE | FOR_INIT, eperm, eperm, NULL, &filters.whole_init);
    for (int class = 0; class < RUN_CLASS_COUNT_; class ++)
        for (int loopback = 0; loopback < 2; loopback++) {
            uint32_t who = every | 1u << class | (loopback ? FOR_LOOPBACK : 0u);
            add_view("program", who, eperm, notify, &filters.slot, &filters.program[class][loopback]);
            add_view("program, kill", who, notify, notify, NULL, &filters.kill[class][loopback]);
        }
}

static void read_constants(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    char name[256];
    unsigned long long value;
    while (constants_len < CONSTANTS_MAX && fscanf(file, "%255s %llx", name, &value) == 2)
        constants[constants_len++] = value;
    (void)fclose(file);
    assert_true(constants_len > 5000); /* the kernel's headers are there */
}

static int set_up(void **state)
{
    (void)state;
    read_constants(EVALX_UAPI_CONSTANTS);
    for (size_t i = 0; i < seccomp_rows_len; i++) {
        int number = seccomp_syscall_resolve_name(seccomp_rows[i].call);
        if (number < 0)
            continue;
        assert_true(number < CALLS_MAX);
        if (rows_of[number].end == 0)
            rows_of[number].first = i;
        rows_of[number].end = i + 1;
    }
    build(false);
    return 0;
}

static void pinned_programs_keep_their_processor(void **state)
{
    (void)state;
    const struct seccomp_data data = { number_of("sched_setaffinity"), seccomp_arch_native(), 0, { 0 } };
    assert_int_equal(answer_of(&views[3], &data), SECCOMP_RET_ALLOW);
    build(true);
    for (size_t i = 0; i < views_len; i++)
        assert_int_equal(answer_of(&views[i], &data), SECCOMP_RET_ERRNO | EPERM);
    every_number_has_the_answer_of_the_table(state);
    print_message("%llu answers compared\n", (unsigned long long)compared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_well_formed),
        cmocka_unit_test(the_filters_of_a_run_are_short),
        cmocka_unit_test(every_row_decides_something),
        cmocka_unit_test(every_number_has_the_answer_of_the_table),
        cmocka_unit_test(every_socket_has_the_answer_of_the_table),
        cmocka_unit_test(every_option_has_the_answer_of_the_table),
        cmocka_unit_test(every_command_has_the_answer_of_the_table),
        cmocka_unit_test(pinned_programs_keep_their_processor),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
