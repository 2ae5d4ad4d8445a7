/* exec_stub: see the header.  Freestanding: it makes its system calls itself. */
#include "sandboxd/exec_stub.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "sandboxd/init_process.h"

static long system_call(long number, long a, long b, long c, long d, long e)
{
#if defined __x86_64__
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#else
#error "exec_stub.c can make system calls only on x86-64 and aarch64"
#endif
}

static struct exec_request request;
static char *words[SLOT_WORDS_MAX + 2]; /* argv, NULL, env, NULL */
static int streams[SLOT_FD_BASE_COUNT_];

static _Noreturn void exit_group(int status)
{
    for (;;)
        (void)system_call(__NR_exit_group, status, 0, 0, 0, 0);
}

static _Noreturn void fail(enum init_report_kind kind, enum exec_stub_step step, long os)
{
    struct init_report report = { .kind = kind, .step = step, .os = (int32_t)os };
    (void)system_call(__NR_write, EXEC_STUB_REPORT, (long)&report, sizeof report, 0, 0);
    exit_group(127);
}

/* 0 or an errno.  Exits if the other end has been closed: there will be no request. */
static long receive_request(void)
{
    static union {
        char bytes[CMSG_SPACE(sizeof streams)];
        struct cmsghdr head;
    } control;
    struct iovec part = { &request, sizeof request };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes
    };
    long got;
    do
        got = system_call(__NR_recvmsg, EXEC_STUB_SOCKET, (long)&message, MSG_CMSG_CLOEXEC, 0, 0);
    while (got == -EINTR);
    if (got == 0)
        exit_group(0);
    if (got < 0)
        return -got;
    if (got < (long)EXEC_REQUEST_HEAD_BYTES || got != (long)(EXEC_REQUEST_HEAD_BYTES + request.strings_len) ||
        (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || control.head.cmsg_type != SCM_RIGHTS ||
        control.head.cmsg_len != CMSG_LEN(sizeof streams))
        return EBADMSG;
    for (int i = 0; i < SLOT_FD_BASE_COUNT_; i++)
        streams[i] = ((const int *)(const void *)CMSG_DATA(&control.head))[i];
    return 0;
}

/* The slot has checked that the strings are complete and terminated. */
static void split_strings(void)
{
    char **word = words, *at = request.strings;
    for (uint32_t i = 0; i < request.words + request.variables; i++) {
        *word++ = at;
        while (*at++ != '\0')
            ;
        if (i + 1 == request.words)
            *word++ = NULL;
    }
    *word = NULL;
}

/* They were received with numbers above 2, so none overwrites another. */
static long connect_streams(void)
{
    long result = 0;
    for (int i = 0; result >= 0 && i < SLOT_FD_BASE_COUNT_; i++) {
        result = system_call(__NR_dup3, streams[i], i, 0, 0, 0);
        (void)system_call(__NR_close, streams[i], 0, 0, 0, 0);
    }
    if (result < 0)
        return -result;
    (void)system_call(__NR_close, EXEC_STUB_SOCKET, 0, 0, 0, 0);
    return 0;
}

/* Never above the operator's hard limits: the process has no CAP_SYS_RESOURCE. */
static long lower_limit(int what, uint64_t value)
{
    struct rlimit limit;
    long result = system_call(__NR_prlimit64, 0, what, 0, (long)&limit, 0);
    if (result < 0)
        return -result;
    if (value < limit.rlim_max)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    return -system_call(__NR_prlimit64, 0, what, (long)&limit, 0, 0);
}

static long set_limits(void)
{
    const struct limits *l = &request.limits;
    /* Rounded up, plus a second: the cgroup's clock decides, and this is the second line if the slot is stopped. */
    long os = lower_limit(RLIMIT_CPU, l->cpu_us / 1000000 + 2);
    if (os == 0)
        os = lower_limit(RLIMIT_FSIZE, l->file_bytes);
    if (os == 0)
        os = lower_limit(RLIMIT_STACK, l->stack_bytes);
    if (os == 0)
        os = lower_limit(RLIMIT_NOFILE, l->open_files);
    if (os != 0 || (request.flags & EXEC_NO_CGROUP) == 0)
        return os;
    os = lower_limit(RLIMIT_AS, l->memory_bytes);
    return os != 0 ? os : lower_limit(RLIMIT_NPROC, l->processes + 1);
}

static long execute_program(void)
{
    char *const *env = words + request.words + 1;
    if ((request.flags & SLOT_SELF_TEST) == 0)
        return -system_call(__NR_execve, (long)words[0], (long)words, (long)env, 0, 0);
    static char launcher[] = "evalx-launcher", probe[] = "probe";
    char *const argv[] = { launcher, probe, NULL };
    return -system_call(__NR_execveat, EXEC_STUB_PROBE, (long)"", (long)argv, (long)env, AT_EMPTY_PATH);
}

/* The stack is aligned differently at the start of a process than after a call. */
#if defined __x86_64__
#define AT_START __attribute__((force_align_arg_pointer))
#else
#define AT_START
#endif

AT_START _Noreturn void _start(void);

AT_START _Noreturn void _start(void)
{
    (void)system_call(__NR_prctl, PR_SET_NAME, (long)"evalx-exec-stub", 0, 0, 0);
    long os = receive_request();
    if (os != 0)
        fail(INIT_FAILED, EXEC_STUB_RECEIVE_REQUEST, os);
    split_strings();
    os = connect_streams();
    if (os != 0)
        fail(INIT_FAILED, EXEC_STUB_STREAMS, os);
    os = set_limits();
    if (os != 0)
        fail(INIT_FAILED, EXEC_STUB_LIMITS, os);
    /* A successful execve closes what is still open.  None of it is a folder; child_setup.c says why. */
    (void)system_call(__NR_fcntl, EXEC_STUB_REPORT, F_SETFD, FD_CLOEXEC, 0, 0);
    (void)system_call(__NR_fcntl, EXEC_STUB_PROBE, F_SETFD, FD_CLOEXEC, 0, 0);
    os = execute_program();
    fail(INIT_NOT_EXECUTABLE, EXEC_STUB_EXECUTE, os);
}
