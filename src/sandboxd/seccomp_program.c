/* seccomp_program: see the header. */
#include "sandboxd/seccomp_program.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sandboxd/seccomp_table.h"

#define CALLS_MAX 512
#define RANGES_MAX (2 * CALLS_MAX + 4)

/* The rows of one call. */
struct call {
    uint32_t number;
    size_t first, end;
};

/* Numbers from `first` up to the next range have one answer, or are one call with conditions. */
struct range {
    uint32_t first;
    uint32_t answer;         /* SECCOMP_RET_ value */
    const struct call *call; /* NULL: the answer is for all of them */
};

struct assembler {
    const struct seccomp_program_spec *spec;
    struct call calls[CALLS_MAX];
    size_t calls_len;
    struct range ranges[RANGES_MAX];
    size_t ranges_len;
    struct sock_filter code[BPF_MAXINSNS];
    size_t code_len;
};

/* Large, and the launcher has one thread. */
static struct assembler assembler;

static void emit(struct assembler *as, uint16_t operation, uint32_t operand, uint8_t if_true, uint8_t if_false)
{
    if (as->code_len < BPF_MAXINSNS)
        as->code[as->code_len] = (struct sock_filter){ operation, if_true, if_false, operand };
    as->code_len++; /* beyond the maximum: too long, which is reported at the end */
}

static uint32_t offset_of_half(const struct seccomp_condition *condition)
{
    bool is_second = (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) == (condition->is_upper != 0);
    return (uint32_t)(offsetof(struct seccomp_data, args) + condition->argument * 8u + (is_second ? 4u : 0u));
}

static bool has_condition(const struct seccomp_row *row, size_t i)
{
    return i < SECCOMP_CONDITIONS_MAX && row->when[i].mask != 0;
}

static uint32_t answer_of(const struct seccomp_program_spec *spec, const struct seccomp_row *row)
{
    if (row->answer == SECCOMP_ALLOW)
        return SECCOMP_RET_ALLOW;
    return row->answer == SECCOMP_DENY ? spec->deny : SECCOMP_RET_ERRNO | (uint32_t)row->answer;
}

/* ---- calls and ranges ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t left = ((const struct call *)a)->number, right = ((const struct call *)b)->number;
    return left < right ? -1 : left > right;
}

/* The calls that this architecture has, and that libseccomp knows.  Others get the answer of unknown ones. */
static int find_calls(struct assembler *as, struct error *err)
{
    as->calls_len = 0;
    for (size_t i = 0, end; i < seccomp_rows_len; i = end) {
        for (end = i; end < seccomp_rows_len && strcmp(seccomp_rows[end].call, seccomp_rows[i].call) == 0;)
            end++;
        int number = seccomp_syscall_resolve_name(seccomp_rows[i].call);
        if (number < 0)
            continue;
        if (as->calls_len == CALLS_MAX)
            return error_set(err, ERROR_BUG, 0, "more than %d system calls in the table", CALLS_MAX);
        as->calls[as->calls_len++] = (struct call){ (uint32_t)number, i, end };
    }
    qsort(as->calls, as->calls_len, sizeof *as->calls, by_number);
    return 0;
}

static void add_range(struct assembler *as, struct range range)
{
    const struct range *last = as->ranges_len > 0 ? &as->ranges[as->ranges_len - 1] : NULL;
    if (last == NULL || last->call != NULL || range.call != NULL || last->answer != range.answer)
        as->ranges[as->ranges_len++] = range;
}

/* Does the loaded program treat the call in the same way? */
static bool is_loaded(const struct assembler *as, const struct call *call)
{
    const struct seccomp_program_spec *spec = as->spec;
    bool same = spec->loaded_who != 0;
    for (size_t i = call->first; i < call->end && same; i++)
        same = ((seccomp_rows[i].who & spec->who) != 0) == ((seccomp_rows[i].who & spec->loaded_who) != 0);
    return same;
}

static struct range range_of(const struct assembler *as, const struct call *call)
{
    for (size_t i = call->first; i < call->end; i++) {
        const struct seccomp_row *row = &seccomp_rows[i];
        if ((row->who & as->spec->who) != 0)
            return has_condition(row, 0) ? (struct range){ call->number, 0, call }
                                         : (struct range){ call->number, answer_of(as->spec, row), NULL };
    }
    return (struct range){ call->number, SECCOMP_RET_ERRNO | ENOSYS, NULL };
}

static void find_ranges(struct assembler *as)
{
    const uint32_t others = as->spec->loaded_who != 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | ENOSYS;
    uint32_t next = 0;
    as->ranges_len = 0;
    for (size_t i = 0; i < as->calls_len; i++) {
        const struct call *call = &as->calls[i];
        if (is_loaded(as, call))
            continue;
        if (call->number > next)
            add_range(as, (struct range){ next, others, NULL });
        add_range(as, range_of(as, call));
        next = call->number + 1;
    }
    add_range(as, (struct range){ next, others, NULL });
#if defined __x86_64__
    add_range(as, (struct range){ SECCOMP_X32_FIRST, as->spec->foreign, NULL });
    add_range(as, (struct range){ SECCOMP_X32_END, others, NULL });
#endif
}

/* ---- code ---- */

static void emit_answer(struct assembler *as, uint32_t answer)
{
    emit(as, BPF_RET | BPF_K, answer, 0, 0);
}

static bool is_same_load(const struct seccomp_condition *a, const struct seccomp_condition *b)
{
    return a != NULL && a->argument == b->argument && a->is_upper == b->is_upper && a->mask == b->mask;
}

/* The rows of a call.  `loaded` is the condition whose argument is in the register at the beginning of a row. */
static void emit_call(struct assembler *as, const struct call *call)
{
    const struct seccomp_condition *loaded = NULL;
    for (size_t i = call->first; i < call->end; i++) {
        const struct seccomp_row *row = &seccomp_rows[i];
        size_t jumps[SECCOMP_CONDITIONS_MAX], len = 0;
        if ((row->who & as->spec->who) == 0)
            continue;
        for (; has_condition(row, len); len++) {
            const struct seccomp_condition *condition = &row->when[len];
            if (!is_same_load(loaded, condition)) {
                emit(as, BPF_LD | BPF_W | BPF_ABS, offset_of_half(condition), 0, 0);
                if (condition->mask != 0xffffffffu)
                    emit(as, BPF_ALU | BPF_AND | BPF_K, condition->mask, 0, 0);
            }
            loaded = condition;
            jumps[len] = as->code_len;
            emit(as, BPF_JMP | BPF_JEQ | BPF_K, condition->value, 0, 0);
        }
        emit_answer(as, answer_of(as->spec, row));
        if (len == 0)
            return;
        for (size_t j = 0; j < len && jumps[j] < BPF_MAXINSNS; j++)
            as->code[jumps[j]].jf = (uint8_t)(as->code_len - jumps[j] - 1);
        if (len > 1)
            loaded = NULL; /* it depends on the condition that failed */
    }
    emit_answer(as, SECCOMP_RET_ERRNO | ENOSYS);
}

/* The number is in the register. */
static void emit_search(struct assembler *as, size_t first, size_t end)
{
    if (end - first == 1) {
        const struct range *range = &as->ranges[first];
        if (range->call != NULL)
            emit_call(as, range->call);
        else
            emit_answer(as, range->answer);
        return;
    }
    size_t middle = first + (end - first) / 2;
    emit(as, BPF_JMP | BPF_JGE | BPF_K, as->ranges[middle].first, 0, 1);
    size_t jump = as->code_len;
    emit(as, BPF_JMP | BPF_JA, 0, 0, 0); /* over the lower half, which may be longer than 255 instructions */
    emit_search(as, first, middle);
    if (jump < BPF_MAXINSNS)
        as->code[jump].k = (uint32_t)(as->code_len - jump - 1);
    emit_search(as, middle, end);
}

int seccomp_program_build(const struct seccomp_program_spec *spec, struct sock_fprog *ret, struct error *err)
{
    struct assembler *as = &assembler;
    as->spec = spec;
    as->code_len = 0;
    if (find_calls(as, err) < 0)
        return -1;
    find_ranges(as);
    emit(as, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    emit(as, BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0);
    emit_answer(as, spec->foreign);
    emit(as, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    emit_search(as, 0, as->ranges_len);
    if (as->code_len > BPF_MAXINSNS)
        return error_set(err, ERROR_BUG, 0, "seccomp filter of %zu instructions", as->code_len);
    ret->filter = malloc(as->code_len * sizeof *as->code);
    if (ret->filter == NULL)
        return error_set(err, ERROR_SANDBOX, ENOMEM, "seccomp filter");
    memcpy(ret->filter, as->code, as->code_len * sizeof *as->code);
    ret->len = (unsigned short)as->code_len;
    return 0;
}
