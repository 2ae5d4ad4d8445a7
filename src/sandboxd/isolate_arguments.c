/* isolate_arguments: see the header, and isolate(1) for the options. */
#include "sandboxd/isolate_arguments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Top-level names of an image's root that have rules of their own or are rootfs.c's. */
static const char *const special[] = { "box", "tmp", "dev", "proc", ".run", ".closed", ".empty", ".mask" };

static int add(struct isolate_arguments *a, const char *word, struct error *err)
{
    if (a->len + 1 >= ISOLATE_WORDS_MAX)
        return error_set(err, ERROR_SANDBOX, E2BIG, "the command line of isolate takes more than %d words",
                         ISOLATE_WORDS_MAX);
    a->words[a->len++] = word;
    a->words[a->len] = NULL;
    return 0;
}

__attribute__((format(printf, 3, 4))) static int add_text(struct isolate_arguments *a, struct error *err,
                                                          const char *fmt, ...)
{
    size_t room = sizeof a->text - a->text_len;
    char *word = a->text + a->text_len;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(word, room, fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= room)
        return error_set(err, ERROR_SANDBOX, E2BIG, "the options of isolate take more than %d bytes",
                         ISOLATE_TEXT_BYTES);
    a->text_len += (size_t)len + 1;
    return add(a, word, err);
}

/* isolate parses numbers as int. */
static uint64_t kilobytes(uint64_t bytes)
{
    uint64_t k = bytes / 1024 + (bytes % 1024 != 0);
    return k < 1 ? 1 : k > INT_MAX ? INT_MAX : k;
}

/* isolate sets hard and soft limit together, and fails if that would raise the operator's hard limit. */
static uint64_t below_hard_limit(int what, uint64_t value)
{
    struct rlimit limit;
    return getrlimit(what, &limit) == 0 && limit.rlim_max < value ? limit.rlim_max : value;
}

static int add_seconds(struct isolate_arguments *a, const char *option, uint64_t us, struct error *err)
{
    uint64_t ms = us / 1000 + (us % 1000 != 0);
    if (ms == 0)
        ms = 1;
    return add_text(a, err, "%s=%" PRIu64 ".%03" PRIu64, option, ms / 1000, ms % 1000);
}

static int add_limits(struct isolate_arguments *a, const struct isolate_run *run, struct error *err)
{
    const struct limits *l = run->limits;
    if (add_seconds(a, "--time", l->cpu_us, err) < 0 || add_seconds(a, "--wall-time", l->wall_us, err) < 0 ||
        add(a, "--extra-time=0", err) < 0)
        return -1;
    uint64_t stack = kilobytes(below_hard_limit(RLIMIT_STACK, l->stack_bytes));
    uint64_t files = below_hard_limit(RLIMIT_NOFILE, l->open_files > 0 ? l->open_files : 1);
    if (add_text(a, err, "--fsize=%" PRIu64, kilobytes(below_hard_limit(RLIMIT_FSIZE, l->file_bytes))) < 0 ||
        add_text(a, err, "--stack=%" PRIu64, stack) < 0 || add_text(a, err, "--open-files=%" PRIu64, files) < 0)
        return -1;
    /* The slot's group counts denied processes.  RLIMIT_NPROC would deny them first, without counting. */
    if (run->has_groups)
        return add(a, "--processes", err);
    if (add_text(a, err, "--processes=%" PRIu32, l->processes > 0 ? l->processes : 1) < 0)
        return -1;
    if (run->cg && add(a, "--cg", err) < 0)
        return -1;
    return add_text(a, err, run->cg ? "--cg-mem=%" PRIu64 : "--mem=%" PRIu64, kilobytes(l->memory_bytes));
}

static bool is_special(const char *name)
{
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (strcmp(name, special[i]) == 0)
            return true;
    return strpbrk(name, ":=") != NULL || name[0] == '.'; /* ":" and "=" are isolate's syntax */
}

/* Resolves links: isolate would follow a link such as /bin -> /usr/bin into the host's tree. */
static int resolve(int root, const char *name, char ret_path[PATH_MAX])
{
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
    auto_close int folder = (int)syscall(SYS_openat2, root, name, &how, sizeof how);
    char link[40];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t len = folder < 0 ? -1 : readlink(link, ret_path, PATH_MAX - 1);
    if (len < 0)
        return -1;
    ret_path[len] = '\0';
    return ret_path[0] == '/' && strpbrk(ret_path, ":=") == NULL ? 0 : -1;
}

static int add_folders(struct isolate_arguments *a, const char *image_path, struct error *err)
{
    DIR *root = opendir(image_path);
    if (root == NULL)
        return error_set(err, ERROR_SANDBOX, errno, "list the image at %s", image_path);
    int result = 0;
    unsigned folders = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(root)) != NULL) {
        char path[PATH_MAX];
        if (is_special(entry->d_name) || resolve(dirfd(root), entry->d_name, path) < 0)
            continue;
        if (++folders > ISOLATE_FOLDERS_MAX)
            result = error_set(err, ERROR_SANDBOX, E2BIG, "the image at %s has more than %d folders", image_path,
                               ISOLATE_FOLDERS_MAX);
        else
            result = add_text(a, err, "--dir=%s=%s", entry->d_name, path);
    }
    (void)closedir(root);
    return result;
}

/* ./box and ./tmp are on one tmpfs (isolate_box.c).  isolate creates the folders of its rule "tmp" in ./tmp. */
static int add_rules(struct isolate_arguments *a, const struct isolate_run *run, struct error *err)
{
    if (add(a, "--no-default-dirs", err) < 0 || add(a, "--dir=box=./box:rw", err) < 0 ||
        add(a, "--dir=tmp:tmp", err) < 0 || add(a, "--dir=proc=proc:fs", err) < 0 ||
        add_text(a, err, "--dir=dev=%s/dev:dev", run->image_path) < 0 || add(a, "--dir=dev/shm:tmp", err) < 0)
        return -1;
    return add_folders(a, run->image_path, err);
}

/* isolate takes "NAME=" as "unset", so a variable with an empty value cannot be passed. */
static int add_environment(struct isolate_arguments *a, char *const *env, struct error *err)
{
    if (add(a, "--env=LIBC_FATAL_STDERR_=", err) < 0) /* isolate adds it otherwise */
        return -1;
    for (; *env != NULL; env++) {
        const char *equals = strchr(*env, '=');
        if (equals == NULL || equals == *env || equals[1] == '\0')
            continue;
        if (add(a, "--env", err) < 0 || add(a, *env, err) < 0)
            return -1;
    }
    return 0;
}

int isolate_arguments_make(const struct isolate_run *run, struct isolate_arguments *ret, struct error *err)
{
    ret->len = ret->text_len = 0;
    if (add(ret, run->command, err) < 0 || add_text(ret, err, "--box-id=%" PRIu32, run->isolate_box) < 0 ||
        add(ret, "--silent", err) < 0 || add(ret, "--wait", err) < 0 ||
        add_text(ret, err, "--meta=%s", run->meta_path) < 0 || add_limits(ret, run, err) < 0 ||
        add_rules(ret, run, err) < 0 || add_environment(ret, run->env, err) < 0 || add(ret, "--run", err) < 0 ||
        add(ret, "--", err) < 0)
        return -1;
    for (char *const *word = run->argv; *word != NULL; word++)
        if (add(ret, *word, err) < 0)
            return -1;
    return 0;
}
