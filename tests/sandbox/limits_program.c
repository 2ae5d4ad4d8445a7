/*
 * limits_program: the program that the tests of limits run in a box.  Static, so that any image can run it.
 *
 *   limits_program WHAT [NUMBER]     prints one figure, or tries to exceed a limit
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Uses that much CPU time in this thread. */
static void spin(uint64_t us)
{
    uint64_t until = clock_us(CLOCK_THREAD_CPUTIME_ID) + us;
    while (clock_us(CLOCK_THREAD_CPUTIME_ID) < until)
        ;
}

/* A fixed amount of work, whatever time it takes. */
static int work(uint64_t rounds)
{
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < rounds; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x == 0; /* always false, which the compiler cannot know */
}

static void *spin_in_thread(void *us)
{
    spin((uint64_t)(uintptr_t)us);
    return NULL;
}

static void wait_all(void)
{
    while (wait(NULL) > 0 || errno == EINTR)
        ;
}

static uint64_t used_us(int who)
{
    struct rusage usage;
    (void)getrusage(who, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/*
 * Uses CPU time in this thread, another thread, a child and a grandchild, and prints the kernel's figure for all of
 * them.  Subtracts what the process used before execve, which keeps the count: the box was made by the same process.
 */
static int cpu(uint64_t us)
{
    const uint64_t before = used_us(RUSAGE_SELF);
    pthread_t thread;
    if (pthread_create(&thread, NULL, spin_in_thread, (void *)(uintptr_t)us) != 0)
        return 1;
    if (fork() == 0) {
        if (fork() == 0) {
            spin(us);
            _exit(0);
        }
        spin(us);
        wait_all();
        _exit(0);
    }
    spin(us);
    (void)pthread_join(thread, NULL);
    wait_all();
    printf("%llu\n", (unsigned long long)(used_us(RUSAGE_SELF) + used_us(RUSAGE_CHILDREN) - before));
    return 0;
}

static int touch(uint64_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    for (uint64_t at = 0; at < bytes; at += 4096)
        ((volatile char *)memory)[at] = 1;
    return 0;
}

/* Prints the process's anonymous memory according to the kernel, in bytes. */
static int memory(uint64_t bytes)
{
    if (touch(bytes) != 0)
        return 1;
    FILE *status = fopen("/proc/self/status", "re");
    char line[200];
    unsigned long long kib = 0;
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        (void)sscanf(line, "RssAnon: %llu", &kib);
    printf("%llu\n", kib * 1024);
    return 0;
}

/* A quarter each in four processes that exist at the same time. */
static int memory_of_children(uint64_t bytes)
{
    int ready[2], go[2];
    if (pipe(ready) < 0 || pipe(go) < 0)
        return 1;
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            char byte = (char)touch(bytes / 4);
            (void)close(go[1]);
            (void)!write(ready[1], &byte, 1);
            (void)!read(go[0], &byte, 1); /* until the parent closes its end */
            _exit(0);
        }
    char byte;
    for (int i = 0; i < 4; i++)
        if (read(ready[0], &byte, 1) != 1 || byte != 0)
            return 1;
    (void)close(go[1]);
    wait_all();
    return 0;
}

static int write_file(uint64_t bytes)
{
    static const char block[4096];
    int fd = open("/box/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (uint64_t left = bytes; left > 0;) {
        ssize_t wrote = write(fd, block, left < sizeof block ? left : sizeof block);
        if (wrote <= 0)
            return errno;
        left -= (uint64_t)wrote;
    }
    return 0;
}

static int inodes(void)
{
    char name[32];
    for (unsigned count = 0;; count++) {
        (void)snprintf(name, sizeof name, "/tmp/%u", count);
        int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            printf("%u %s\n", count, strerrorname_np(errno));
            return 0;
        }
        (void)close(fd);
    }
}

static int open_files(void)
{
    unsigned count = 3;
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
        count++;
    printf("%u %s\n", count, strerrorname_np(errno));
    return 0;
}

static __attribute__((noinline)) void use_stack(uint64_t bytes)
{
    volatile char frame[4096];
    frame[0] = frame[4095] = 1;
    if (bytes > sizeof frame)
        use_stack(bytes - sizeof frame);
    frame[1] = 1; /* prevents a tail call above */
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *wait_at_gate(void *unused)
{
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
    return unused;
}

/* Prints how many threads exist at the same time, including this one. */
static int threads(uint64_t wanted)
{
    static pthread_t all[5000];
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, 64 << 10);
    (void)pthread_mutex_lock(&gate);
    unsigned count = 0;
    while (count + 1 < wanted && pthread_create(&all[count], &attributes, wait_at_gate, NULL) == 0)
        count++;
    (void)pthread_mutex_unlock(&gate);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(all[i], NULL);
    printf("%u\n", count + 1);
    return 0;
}

static void *spin_for_ever(void *unused)
{
    for (;;)
        spin(1000000);
    return unused;
}

static int spin_in_threads(uint64_t count)
{
    pthread_t thread;
    for (uint64_t i = 1; i < count; i++)
        if (pthread_create(&thread, NULL, spin_for_ever, NULL) != 0)
            return 1;
    (void)spin_for_ever(NULL);
    return 1;
}

static int spin_in_processes(uint64_t count)
{
    for (uint64_t i = 1; i < count; i++)
        if (fork() == 0)
            break;
    (void)spin_for_ever(NULL);
    return 1;
}

static void sleep_on(void)
{
    for (;;)
        (void)pause();
}

/* Catches all signals that can be caught, then sleeps. */
static void trap_signals(int number)
{
    (void)number;
}

static int sleep_trapping(void)
{
    const struct sigaction action = { .sa_handler = trap_signals };
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &action, NULL);
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    sleep_on();
    return 1;
}

/* Each process uses 3 ms of CPU time, forks a child that does the same, and exits. */
static int rabbits(void)
{
    if (fork() > 0)
        sleep_on();
    for (;;) {
        spin(3000);
        if (fork() > 0)
            _exit(0);
    }
}

/* The program's process exits at once; a daemon in another session continues. */
static int leave_a_daemon(void)
{
    if (fork() > 0)
        return 0;
    (void)setsid();
    if (fork() > 0)
        _exit(0);
    (void)spin_for_ever(NULL);
    return 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    uint64_t number = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    if (strcmp(what, "cpu") == 0)
        return cpu(number);
    if (strcmp(what, "spin") == 0) {
        spin(number);
        return 0;
    }
    if (strcmp(what, "work") == 0)
        return work(number);
    if (strcmp(what, "touch") == 0)
        return touch(number);
    if (strcmp(what, "memory") == 0)
        return memory(number);
    if (strcmp(what, "memory-of-children") == 0)
        return memory_of_children(number);
    if (strcmp(what, "file") == 0)
        return write_file(number);
    if (strcmp(what, "inodes") == 0)
        return inodes();
    if (strcmp(what, "open-files") == 0)
        return open_files();
    if (strcmp(what, "stack") == 0) {
        use_stack(number);
        return 0;
    }
    if (strcmp(what, "threads") == 0)
        return threads(number);
    if (strcmp(what, "spin-in-threads") == 0)
        return spin_in_threads(number);
    if (strcmp(what, "spin-in-processes") == 0)
        return spin_in_processes(number);
    if (strcmp(what, "sleep") == 0)
        sleep_on();
    if (strcmp(what, "stop") == 0)
        return raise(SIGSTOP);
    if (strcmp(what, "trap") == 0)
        return sleep_trapping();
    if (strcmp(what, "rabbits") == 0)
        return rabbits();
    if (strcmp(what, "daemon") == 0)
        return leave_a_daemon();
    return 2;
}
