/*
 * Runs in a box and makes every system call with arguments that do no harm: bad descriptors and addresses.  Compares
 * the answers with the table.  test_syscalls.c starts it with the rows that are for it (bits of enum seccomp_who), and
 * gives it the constants of the kernel's headers as its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandboxd/seccomp_table.h"

#define ROWS_MAX 1024
#define NUMBERS 1024 /* of system calls; tests/unit/test_seccomp_filter.c has the others, which would end this run */
/* Linux 6.13 passes them by all filters.  They end with SIGILL a process that is not being traced. */
#define URETPROBE 335
#define UPROBE 336

static int numbers[ROWS_MAX]; /* of the table's rows */
static uint32_t who;
static unsigned calls, wrong;

static bool fits(const struct seccomp_row *row, const long arguments[6])
{
    for (size_t i = 0; i < SECCOMP_CONDITIONS_MAX && row->when[i].mask != 0; i++) {
        const struct seccomp_condition *c = &row->when[i];
        uint64_t argument = (uint64_t)arguments[c->argument];
        if (((uint32_t)(c->is_upper ? argument >> 32 : argument) & c->mask) != c->value)
            return false;
    }
    return true;
}

static int said_of(long number, const long arguments[6])
{
    for (size_t i = 0; i < seccomp_rows_len; i++)
        if (numbers[i] == number && (seccomp_rows[i].who & who) != 0 && fits(&seccomp_rows[i], arguments))
            return seccomp_rows[i].answer == SECCOMP_DENY ? EPERM : seccomp_rows[i].answer;
    return ENOSYS;
}

/* `refusal`: the errno by which a call that does not pass is known, where the table allows this one. */
static void try(long number, long a, long b, long c, int refusal)
{
    const long arguments[6] = { a, b, c, -1, -1, -1 };
    int said = said_of(number, arguments);
    errno = 0;
    long result = syscall(number, a, b, c, -1L, -1L, -1L);
    bool passes = result >= 0 || errno != refusal;
    bool right = said == SECCOMP_ALLOW ? passes : said == 0 ? result == 0 : result == -1 && errno == said;
    calls++;
    if (!right && wrong++ < 20)
        printf("call %ld (%#lx, %#lx, %#lx): result %ld, errno %d, the table has %d\n", number, a, b, c, result, errno,
               said);
    if (result > 2 && (number == SYS_socket || number == SYS_fcntl))
        (void)close((int)result);
}

static bool would_end_or_wait(long number)
{
    static const long some[] = {
        SYS_exit,  SYS_exit_group, SYS_clone, SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_futex, SYS_set_tid_address,
#ifdef SYS_pause
        SYS_pause, SYS_fork,       SYS_vfork,
#endif
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (some[i] == number)
            return true;
    return false;
}

static void walk_numbers(void)
{
    static const long bad[6] = { -1, -1, -1, -1, -1, -1 };
    for (long number = 0; number < NUMBERS; number++)
        if (number != URETPROBE && number != UPROBE &&
            (said_of(number, bad) != SECCOMP_ALLOW || !would_end_or_wait(number)))
            try(number, -1, -1, -1, ENOSYS);
    try(-1, -1, -1, -1, ENOSYS);
}

static void walk_sockets(void)
{
    static const long flags[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK, 0x40 };
    for (long family = 0; family < 50; family++)
        for (long type = 0; type < 12; type++)
            for (size_t flag = 0; flag < sizeof flags / sizeof *flags; flag++)
                for (long protocol = 0; protocol < 264; protocol += protocol < 18 ? 1 : 41) {
                    try(SYS_socket, family, type | flags[flag], protocol, EAFNOSUPPORT);
                    try(SYS_socketpair, family, type | flags[flag], protocol, EAFNOSUPPORT);
                }
}

static void walk_command(long command)
{
    try(SYS_ioctl, -1, command, -1, ENOTTY);
    try(SYS_fcntl, -1, command, 0, EINVAL);
    try(SYS_setsockopt, -1, SOL_SOCKET, command, ENOPROTOOPT);
    try(SYS_getsockopt, -1, SOL_SOCKET, command, ENOPROTOOPT);
}

static void walk_commands(void)
{
    char name[256];
    unsigned long long value;
    for (long command = 0; command < 2048; command++)
        walk_command(command);
    for (long level = 0; level < 300; level++)
        for (long option = 0; option < 128; option++) {
            try(SYS_setsockopt, -1, level, option, ENOPROTOOPT);
            try(SYS_getsockopt, -1, level, option, ENOPROTOOPT);
        }
    while (scanf("%255s %llx", name, &value) == 2)
        walk_command((long)(uint32_t)value);
}

int main(int argc, char **argv)
{
    who = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : 0;
    for (size_t i = 0; i < seccomp_rows_len && i < ROWS_MAX; i++)
        numbers[i] = seccomp_syscall_resolve_name(seccomp_rows[i].call);
    walk_numbers();
    walk_sockets();
    walk_commands();
    printf("%s, %u wrong\n", calls > 100000 ? "all calls" : "some calls", wrong);
    return 0;
}
