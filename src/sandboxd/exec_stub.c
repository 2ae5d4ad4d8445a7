/* threshold: see the header.  Freestanding: nothing but system calls, made here. */
#include "sandboxd/exec_stub.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "sandboxd/init_process.h"

static long call(long number, long a, long b, long c, long d, long e)
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
#error "threshold.c knows how to make system calls on x86-64 and aarch64"
#endif
}

static struct exec_request exec_request;
static char *words[SLOT_WORDS_MAX + 2]; /* argv, NULL, env, NULL */
static int streams[SLOT_FD_BASE_COUNT_];

static _Noreturn void leave(int status)
{
    for (;;)
        (void)call(__NR_exit_group, status, 0, 0, 0, 0);
}

static _Noreturn void fail(enum init_report_kind kind, enum exec_stub_step step, long os)
{
    struct init_report report = { .kind = kind, .step = step, .os = (int32_t)os };
    (void)call(__NR_write, EXEC_STUB_REPORT, (long)&report, sizeof report, 0, 0);
    leave(127);
}

/* 0 or an errno.  Ends where the other end has gone: there will be no order. */
static long take_request(void)
{
    static union {
        char bytes[CMSG_SPACE(sizeof streams)];
        struct cmsghdr head;
    } control;
    struct iovec part = { &exec_request, sizeof exec_request };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes
    };
    long got;
    do
        got = call(__NR_recvmsg, EXEC_STUB_SOCKET, (long)&message, MSG_CMSG_CLOEXEC, 0, 0);
    while (got == -EINTR);
    if (got == 0)
        leave(0);
    if (got < 0)
        return -got;
    if (got < (long)EXEC_REQUEST_HEAD_BYTES || got != (long)(EXEC_REQUEST_HEAD_BYTES + exec_request.strings_len) ||
        (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || control.head.cmsg_type != SCM_RIGHTS ||
        control.head.cmsg_len != CMSG_LEN(sizeof streams))
        return EBADMSG;
    for (int i = 0; i < SLOT_FD_BASE_COUNT_; i++)
        streams[i] = ((const int *)(const void *)CMSG_DATA(&control.head))[i];
    return 0;
}

/* The slot has checked that they are as many as it says, and end. */
static void find_words(void)
{
    char **word = words, *at = exec_request.strings;
    for (uint32_t i = 0; i < exec_request.words + exec_request.variables; i++) {
        *word++ = at;
        while (*at++ != '\0')
            ;
        if (i + 1 == exec_request.words)
            *word++ = NULL;
    }
    *word = NULL;
}

/* They came as numbers above 2, so none can overwrite another. */
static long connect_streams(void)
{
    long result = 0;
    for (int i = 0; result >= 0 && i < SLOT_FD_BASE_COUNT_; i++) {
        result = call(__NR_dup3, streams[i], i, 0, 0, 0);
        (void)call(__NR_close, streams[i], 0, 0, 0, 0);
    }
    if (result < 0)
        return -result;
    (void)call(__NR_close, EXEC_STUB_SOCKET, 0, 0, 0, 0);
    return 0;
}

/* The operator's own ceilings stand: no CAP_SYS_RESOURCE here. */
static long limit_to(int what, uint64_t value)
{
    struct rlimit limit;
    long result = call(__NR_prlimit64, 0, what, 0, (long)&limit, 0);
    if (result < 0)
        return -result;
    if (value < limit.rlim_max)
        limit.rlim_max = value;
    limit.rlim_cur = limit.rlim_max;
    return -call(__NR_prlimit64, 0, what, (long)&limit, 0, 0);
}

static long set_limits(void)
{
    const struct limits *l = &exec_request.limits;
    /* CPU seconds round up, one more: the cgroup's clock decides, this stays behind it in case the slot is stopped. */
    long os = limit_to(RLIMIT_CPU, l->cpu_us / 1000000 + 2);
    if (os == 0)
        os = limit_to(RLIMIT_FSIZE, l->file_bytes);
    if (os == 0)
        os = limit_to(RLIMIT_STACK, l->stack_bytes);
    if (os == 0)
        os = limit_to(RLIMIT_NOFILE, l->open_files);
    if (os != 0 || (exec_request.flags & EXEC_NO_CGROUP) == 0)
        return os;
    os = limit_to(RLIMIT_AS, l->memory_bytes);
    return os != 0 ? os : limit_to(RLIMIT_NPROC, l->processes + 1);
}

static long become_program(void)
{
    char *const *env = words + exec_request.words + 1;
    if ((exec_request.flags & SLOT_SELF_TEST) == 0)
        return -call(__NR_execve, (long)words[0], (long)words, (long)env, 0, 0);
    static char launcher[] = "evalx-launcher", probe[] = "probe";
    char *const argv[] = { launcher, probe, NULL };
    return -call(__NR_execveat, EXEC_STUB_PROBE, (long)"", (long)argv, (long)env, AT_EMPTY_PATH);
}

/* The stack is aligned otherwise at a process's start than at a call. */
#if defined __x86_64__
#define AT_START __attribute__((force_align_arg_pointer))
#else
#define AT_START
#endif

AT_START _Noreturn void _start(void);

AT_START _Noreturn void _start(void)
{
    long os = take_request();
    if (os != 0)
        fail(INIT_FAILED, EXEC_STUB_TAKE_REQUEST, os);
    find_words();
    os = connect_streams();
    if (os != 0)
        fail(INIT_FAILED, EXEC_STUB_STREAMS, os);
    os = set_limits();
    if (os != 0)
        fail(INIT_FAILED, EXEC_STUB_LIMITS, os);
    /* What is still open goes with a successful execve; see child_setup.c for why nothing of it is a folder. */
    (void)call(__NR_fcntl, EXEC_STUB_REPORT, F_SETFD, FD_CLOEXEC, 0, 0);
    (void)call(__NR_fcntl, EXEC_STUB_PROBE, F_SETFD, FD_CLOEXEC, 0, 0);
    os = become_program();
    fail(INIT_NOT_EXECUTABLE, EXEC_STUB_EXECUTE, os);
}
