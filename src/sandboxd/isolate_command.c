/* isolate_command: see the header. */
#include "sandboxd/isolate_command.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A step takes milliseconds.  After this time isolate is stuck. */
#define STEP_MS_MAX 10000
#define ANSWER_BYTES 1024
#define BOXES_TRIED 1024u
#define KEYCTL_JOIN 1

int isolate_before_exec(void)
{
    sigset_t none;
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return errno;
    for (int number = 1; number < _NSIG; number++)
        (void)signal(number, SIG_DFL); /* fails for signals that cannot be changed */
    if (syscall(SYS_keyctl, KEYCTL_JOIN, NULL) < 0 && errno != ENOSYS)
        return errno;
    return close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ? errno : 0;
}

static _Noreturn void exec_isolate(const char *const argv[], int out)
{
    static const char *const no_env[] = { NULL };
    auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
        isolate_before_exec() != 0)
        _exit(126);
    (void)execve(argv[0], (char *const *)argv, (char *const *)no_env);
    _exit(127);
}

/* Reads to the end; what does not fit is dropped.  False if it fails or takes too long. */
static bool read_answer(int from, char answer[ANSWER_BYTES])
{
    size_t len = 0;
    struct pollfd polled = { .fd = from, .events = POLLIN };
    for (int ready; (ready = poll(&polled, 1, STEP_MS_MAX)) != 0;) {
        char dropped[256];
        size_t room = ANSWER_BYTES - 1 - len;
        ssize_t got = ready < 0 ? -1 : read(from, room > 0 ? answer + len : dropped, room > 0 ? room : sizeof dropped);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            answer[len] = '\0';
            return got == 0;
        }
        len += room > 0 ? (size_t)got : 0;
    }
    answer[len] = '\0';
    return false;
}

/* Runs isolate and stores its output without the last newline.  An exit status other than 0 is an error. */
static int run_isolate(const char *const argv[], const char *what, char answer[ANSWER_BYTES], struct error *err)
{
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, ERROR_SANDBOX, errno, "isolate %s: pipe", what);
    pid_t child = fork();
    if (child == 0)
        exec_isolate(argv, ends[1]);
    (void)close(ends[1]);
    bool in_time = child > 0 && read_answer(ends[0], answer);
    (void)close(ends[0]);
    if (child < 0)
        return error_set(err, ERROR_SANDBOX, errno, "isolate %s: fork", what);
    if (!in_time)
        (void)kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    size_t len = strlen(answer);
    if (len > 0 && answer[len - 1] == '\n')
        answer[len - 1] = '\0';
    if (!in_time)
        return error_set(err, ERROR_SANDBOX, ETIMEDOUT, "isolate %s", what);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && answer[0] == '\0')
        return error_set(err, ERROR_SANDBOX, 0, "isolate %s: %s cannot be executed", what, argv[0]);
    return error_set(err, ERROR_SANDBOX, 0, "isolate %s: %s", what,
                     answer[0] != '\0' ? answer : "it failed without a message");
}

static int run_step(const struct isolate *isolate, uint32_t isolate_box, const char *step, char answer[ANSWER_BYTES],
                    struct error *err)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%" PRIu32, isolate_box);
    /* --wait: processes of a killed slot may take a moment to end. */
    const char *const plain[] = { isolate->command, "--box-id", number, "--wait", step, NULL };
    const char *const with_cg[] = { isolate->command, "--box-id", number, "--wait", "--cg", step, NULL };
    return run_isolate(isolate->cg ? with_cg : plain, step, answer, err);
}

int isolate_init(const struct isolate *isolate, uint32_t isolate_box, char folder[ISOLATE_PATH_BYTES],
                 struct error *err)
{
    char answer[ANSWER_BYTES];
    if (run_step(isolate, isolate_box, "--init", answer, err) < 0) {
        /* A box left behind in the other mode (--cg or not) must be removed in that mode first. */
        struct isolate other = *isolate;
        struct error ignored;
        other.cg = !isolate->cg;
        if (run_step(&other, isolate_box, "--cleanup", answer, &ignored) < 0 ||
            run_step(isolate, isolate_box, "--init", answer, err) < 0)
            return -1;
    }
    struct stat st;
    if (answer[0] != '/' || strchr(answer, '\n') != NULL || strlen(answer) >= ISOLATE_PATH_BYTES ||
        lstat(answer, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0)
        return error_set(err, ERROR_SANDBOX, 0, "isolate --init printed no folder that root owns: %s", answer);
    memcpy(folder, answer, strlen(answer) + 1);
    return 0;
}

int isolate_cleanup(const struct isolate *isolate, uint32_t isolate_box, struct error *err)
{
    char answer[ANSWER_BYTES];
    return run_step(isolate, isolate_box, "--cleanup", answer, err);
}

int isolate_claim_box(uint32_t first, uint32_t *ret_isolate_box, struct error *err)
{
    auto_close int claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (claim < 0)
        return error_set(err, ERROR_SANDBOX, errno, "socket to claim a box of isolate");
    for (uint32_t isolate_box = first; isolate_box < first + BOXES_TRIED; isolate_box++) {
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "evalx-isolate-box-%" PRIu32, isolate_box);
        if (bind(claim, (struct sockaddr *)&name, (socklen_t)(sizeof name.sun_family + 1 + (size_t)len)) == 0) {
            *ret_isolate_box = isolate_box;
            return take_fd(&claim);
        }
        if (errno != EADDRINUSE)
            return error_set(err, ERROR_SANDBOX, errno, "claim isolate box %" PRIu32, isolate_box);
    }
    return error_set(err, ERROR_SANDBOX, EADDRINUSE, "isolate boxes %" PRIu32 " to %" PRIu32 " are all in use", first,
                     first + BOXES_TRIED - 1);
}

/* The last word of the first line, as in "The process isolator 2.6".  Its major version must be 2. */
static int read_version(const char *answer, struct isolate *isolate, struct error *err)
{
    size_t len = strcspn(answer, "\n");
    size_t at = len;
    while (at > 0 && answer[at - 1] != ' ')
        at--;
    if (len - at >= sizeof isolate->version || strncmp(answer + at, "2.", 2) != 0)
        return error_set(err, ERROR_SETUP, 0, "isolate 2.x is needed, but %s --version prints: %.*s", isolate->command,
                         (int)(len < 80 ? len : 80), answer);
    memcpy(isolate->version, answer + at, len - at);
    isolate->version[len - at] = '\0';
    return 0;
}

/* The file is executed as root, so nobody else may be able to change it. */
static int check_file(const char *command, struct error *err)
{
    struct stat st;
    if (command[0] != '/' || stat(command, &st) < 0)
        return error_set(err, ERROR_SETUP, command[0] == '/' ? errno : 0, "isolate at %s", command);
    if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) != 0 || (st.st_mode & 0100) == 0)
        return error_set(err, ERROR_SETUP, 0, "%s must be an executable that root owns and nobody else can write",
                         command);
    return 0;
}

int isolate_probe(const char *command, bool has_groups, struct isolate *ret, struct error *err)
{
    char answer[ANSWER_BYTES];
    const char *const ask_version[] = { command, "--version", NULL };
    struct isolate isolate = { .command = command };
    if (check_file(command, err) < 0 || run_isolate(ask_version, "--version", answer, err) < 0 ||
        read_version(answer, &isolate, err) < 0)
        return -1;

    uint32_t isolate_box;
    char folder[ISOLATE_PATH_BYTES];
    auto_close int claim = isolate_claim_box(0, &isolate_box, err);
    if (claim < 0)
        return -1;
    if (!has_groups) {
        struct error ignored;
        isolate.cg = true;
        isolate.cg = isolate_init(&isolate, isolate_box, folder, &ignored) == 0;
    }
    if (!isolate.cg && isolate_init(&isolate, isolate_box, folder, err) < 0)
        return -1;
    if (isolate_cleanup(&isolate, isolate_box, err) < 0)
        return -1;
    *ret = isolate;
    return 0;
}
