/*
 * accounting_program: takes as much kernel memory of one kind as it can, in many processes, and holds it for a moment.
 *
 *   accounting_program KIND      prints "refused" if the kernel or the filter gives none of it
 *
 * Static, so that any image can run it.  test_accounting.c compares what the host lost with what was reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 40
#define DESCRIPTORS 1000
#define MIB (UINT64_C(1) << 20)

static unsigned number; /* of the process */
static char block[65536];

/* Each of these functions takes what it can in this process, and returns how often it succeeded. */

static long page_tables(void)
{
    long done = 0;
    size_t len = UINT64_C(1) << 40;
    char *at = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return 0;
    for (size_t i = 0; done < 2000 && i < len; i += 2 * MIB, done++)
        (void)((volatile char *)at)[i];
    return done;
}

static long mappings(void)
{
    long done = 0;
    for (; done < 20000; done++)
        if (mmap(NULL, 4096, done % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            break;
    return done;
}

static long names_of_mappings(void)
{
    long done = 0;
    char name[80];
    memset(name, 'n', sizeof name - 1);
    for (; done < 20000; done++) {
        void *at = mmap(NULL, 4096, done % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        (void)snprintf(name + 60, 20, "%019ld", done);
        if (at == MAP_FAILED || prctl(0x53564d41 /* PR_SET_VMA */, 0, at, 4096, name) < 0)
            break;
    }
    return done;
}

static void *hold(void *unused)
{
    (void)pause();
    return unused;
}

static long threads(void)
{
    long done = 0;
    pthread_t thread;
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, 16384);
    while (done < 1000 && pthread_create(&thread, &attributes, hold, NULL) == 0)
        done++;
    return done;
}

static long pipes(void)
{
    long done = 0;
    for (int ends[2]; done < DESCRIPTORS && pipe2(ends, O_NONBLOCK) == 0; done++) {
        (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        while (write(ends[1], block, sizeof block) > 0)
            ;
    }
    return done;
}

static long datagrams(void)
{
    long done = 0;
    for (int pair[2]; done < DESCRIPTORS && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) == 0; done++) {
        int size = 1 << 26;
        (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        for (int i = 0; i < 1000 && send(pair[0], block, i % 2 ? 1 : sizeof block / 2, 0) > 0; i++)
            ;
    }
    return done;
}

static long socket_filters(void)
{
    static struct sock_filter code[4096];
    struct sock_fprog program = { .len = 4096, .filter = code };
    long done = 0;
    for (size_t i = 0; i < 4096; i++)
        code[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, (unsigned)i);
    code[4095] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    for (int pair[2]; done < DESCRIPTORS && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0; done++)
        if (setsockopt(pair[0], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
            break;
    return done;
}

/* Sends descriptors into sockets that nobody reads. */
static long descriptors_in_flight(void)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(250 * sizeof(int))];
    } control = { .head = { CMSG_LEN(250 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
    struct iovec part = { block, 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.bytes
    };
    long done = 0;
    int fds[250];
    for (int pair[2]; done < 4000 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0; done++) {
        for (int i = 0; i < 250; i++)
            fds[i] = i == 0 ? eventfd(0, 0) : dup(fds[0]);
        memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
        while (sendmsg(pair[0], &message, 0) > 0)
            ;
        for (int i = 0; i < 250; i++)
            (void)close(fds[i]);
    }
    return done;
}

static long epoll_items(void)
{
    long done = 0;
    int events[200];
    for (int i = 0; i < 200; i++)
        events[i] = eventfd(0, 0);
    for (int fd; done < 600 && (fd = epoll_create1(0)) >= 0; done++)
        for (int i = 0; i < 200; i++)
            (void)epoll_ctl(fd, EPOLL_CTL_ADD, events[i], &(struct epoll_event){ .events = EPOLLIN });
    return done;
}

static long descriptors(int (*open_one)(void))
{
    long done = 0;
    while (done < DESCRIPTORS && open_one() >= 0)
        done++;
    return done;
}

static int open_eventfd(void)
{
    return eventfd(0, 0);
}

static int open_timerfd(void)
{
    return timerfd_create(CLOCK_MONOTONIC, 0);
}

static int open_signalfd(void)
{
    sigset_t all;
    (void)sigfillset(&all);
    return signalfd(-1, &all, 0);
}

static int open_maps(void)
{
    char byte;
    int fd = open("/proc/self/maps", O_RDONLY);
    return fd >= 0 && read(fd, &byte, 1) == 1 ? fd : -1;
}

static int open_async(void)
{
    int fd = open("/tmp", O_RDONLY);
    int pair[2];
    (void)close(fd);
    if (pipe(pair) < 0 || fcntl(pair[0], F_SETOWN, getpid()) < 0)
        return -1;
    return fcntl(pair[0], F_SETFL, O_ASYNC);
}

static long eventfds(void)
{
    return descriptors(open_eventfd);
}

static long timerfds(void)
{
    return descriptors(open_timerfd);
}

static long signalfds(void)
{
    return descriptors(open_signalfd);
}

static long proc_files(void)
{
    return descriptors(open_maps);
}

static long fasync(void)
{
    return descriptors(open_async);
}

static long inotify(void)
{
    long done = 0;
    char path[64];
    int fd = inotify_init1(IN_NONBLOCK);
    for (; fd >= 0 && done < 400; done++) {
        (void)snprintf(path, sizeof path, "/tmp/%u-%ld", number, done);
        if (mkdir(path, 0700) < 0 || inotify_add_watch(fd, path, IN_ALL_EVENTS) < 0)
            break;
    }
    for (int i = 0; done > 0 && i < 20000; i++) { /* events that nobody reads */
        (void)snprintf(path, sizeof path, "/tmp/%u-0/%d", number, i % 2);
        (void)close(creat(path, 0600));
        (void)unlink(path);
    }
    return done;
}

static long posix_timers(void)
{
    long done = 0;
    for (timer_t timer; done < 20000 && timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0;)
        done++;
    return done;
}

static long queued_signals(void)
{
    long done = 0;
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    while (done < 100000 && sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }) == 0)
        done++;
    return done;
}

static long shared_memory(void)
{
    long done = 0;
    for (int id; done < 100 && (id = shmget(IPC_PRIVATE, MIB, 0600)) >= 0; done++) {
        char *at = shmat(id, NULL, 0);
        if (at == (void *)-1)
            break;
        memset(at, 1, MIB);
        (void)shmdt(at);
    }
    return done;
}

static long messages(void)
{
    static struct {
        long kind;
        char text[8000];
    } message = { .kind = 1 };
    long done = 0;
    for (int id; done < 1000 && (id = msgget(IPC_PRIVATE, 0600)) >= 0; done++)
        while (msgsnd(id, &message, sizeof message.text, IPC_NOWAIT) == 0)
            ;
    return done;
}

static long semaphores(void)
{
    long done = 0;
    for (int id; done < 200 && (id = semget(IPC_PRIVATE, 200, 0600)) >= 0; done++)
        for (unsigned short i = 0; i < 200; i++)
            if (semop(id, &(struct sembuf){ .sem_num = i, .sem_op = 1, .sem_flg = SEM_UNDO }, 1) < 0)
                break;
    return done;
}

static long message_queues(void)
{
    long done = 0;
    char name[40];
    for (; done < 100; done++) {
        (void)snprintf(name, sizeof name, "/q%u-%ld", number, done);
        mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600,
                              &(struct mq_attr){ .mq_maxmsg = 10, .mq_msgsize = 8000 });
        if (queue < 0)
            break;
        while (mq_send(queue, block, 8000, 0) == 0)
            ;
    }
    return done;
}

static long locks(int command)
{
    long done = 0;
    char path[40];
    (void)snprintf(path, sizeof path, "/tmp/%u", number);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    for (; fd >= 0 && done < 20000; done++)
        if (fcntl(fd, command, &(struct flock){ .l_type = F_WRLCK, .l_start = 2 * done, .l_len = 1 }) < 0)
            break;
    return done;
}

static long record_locks(void)
{
    return locks(F_SETLK);
}

static long open_file_locks(void)
{
    return locks(F_OFD_SETLK);
}

static long memfd(void)
{
    long done = 0;
    int fd = memfd_create("x", 0);
    while (fd >= 0 && done < 128 && write(fd, block, sizeof block) > 0)
        done++;
    return done;
}

static long write_to(const char *folder)
{
    long done = 0;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%u", folder, number);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    while (fd >= 0 && done < 128 && write(fd, block, sizeof block) > 0)
        done++;
    return done;
}

static long files_in_tmp(void)
{
    return write_to("/tmp");
}

static long files_in_shm(void)
{
    return write_to("/dev/shm");
}

/* Grows a file and writes to it through a shared mapping. */
static long mapped_file(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/box/%u", number);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, 8 * MIB) < 0)
        return 0;
    char *at = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (size_t i = 0; at != MAP_FAILED && i < 8 * MIB; i += 4096)
        at[i] = 1;
    return at != MAP_FAILED;
}

static long allocated_file(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/box/%u", number);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    return fd >= 0 && fallocate(fd, 0, 0, 8 * MIB) == 0;
}

static long empty_files(void)
{
    long done = 0;
    char path[300];
    for (; done < 500; done++) {
        (void)snprintf(path, sizeof path, "/tmp/%u-%ld-%0200d", number, done, 0);
        int fd = creat(path, 0600);
        if (fd < 0)
            break;
        (void)close(fd);
    }
    return done;
}

static long hard_links(void)
{
    long done = 0;
    char path[300];
    (void)snprintf(path, sizeof path, "/tmp/%u", number);
    (void)close(creat(path, 0600));
    for (; done < 500; done++) {
        char name[300];
        (void)snprintf(name, sizeof name, "/tmp/%u-%ld-%0200d", number, done, 0);
        if (link(path, name) < 0)
            break;
    }
    return done;
}

static long symbolic_links(void)
{
    long done = 0;
    char path[64], target[4000];
    memset(target, 't', sizeof target);
    target[sizeof target - 1] = '\0';
    for (; done < 500; done++) {
        (void)snprintf(path, sizeof path, "/tmp/%u-%ld", number, done);
        if (symlink(target + (done % 2 ? 3890 : 0), path) < 0)
            break;
    }
    return done;
}

static long folders(void)
{
    long done = 0;
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/%u", number);
    if (mkdir(path, 0700) < 0 || chdir(path) < 0)
        return 0;
    while (done < 400 && mkdir("d", 0700) == 0 && chdir("d") == 0)
        done++;
    return done;
}

static long attributes_of(const char *prefix)
{
    long done = 0;
    char path[64], name[64];
    for (int file = 0; file < 50; file++) {
        (void)snprintf(path, sizeof path, "/tmp/%u-%d", number, file);
        (void)close(creat(path, 0600));
        for (int i = 0; i < 20; i++, done++) {
            (void)snprintf(name, sizeof name, "%s%d", prefix, i);
            if (setxattr(path, name, block, sizeof block / 2, 0) < 0)
                break;
        }
    }
    return done;
}

static long attributes(void)
{
    return attributes_of("user.a");
}

/* An access control list is an attribute that the kernel keeps in its own form. */
static long access_lists(void)
{
    static struct {
        uint32_t version;
        struct {
            uint16_t tag, rights;
            uint32_t id;
        } entries[8000];
    } list = { .version = 2 };
    long done = 0;
    char path[64];
    for (unsigned i = 0; i < 8000; i++) {
        list.entries[i].tag = i == 0 ? 1 : i < 7996 ? 2 : i == 7996 ? 4 : i == 7997 ? 16 : 32;
        list.entries[i].rights = 6;
        list.entries[i].id = i == 0 || i >= 7996 ? ~0u : 1000;
    }
    for (; done < 300; done++) {
        (void)snprintf(path, sizeof path, "/tmp/%u-%ld", number, done);
        (void)close(creat(path, 0600));
        if (setxattr(path, "system.posix_acl_access", &list, 4 + 7999 * 8, 0) < 0)
            break;
    }
    return done;
}

/* Names that do not exist, and that the kernel may remember. */
static long missing_names(void)
{
    long done = 0;
    char path[300];
    struct stat st;
    for (; done < 10000; done++) {
        (void)snprintf(path, sizeof path, "%s/%u-%ld-%0200d", done % 2 ? "/usr/lib" : "/tmp", number, done, 0);
        if (stat(path, &st) == 0 || errno != ENOENT)
            break;
    }
    return done;
}

static const struct {
    const char *name;
    long (*take)(void);
} kinds[] = {
    { "page-tables", page_tables },
    { "mappings", mappings },
    { "names-of-mappings", names_of_mappings },
    { "threads", threads },
    { "pipes", pipes },
    { "datagrams", datagrams },
    { "socket-filters", socket_filters },
    { "descriptors-in-flight", descriptors_in_flight },
    { "epoll-items", epoll_items },
    { "eventfds", eventfds },
    { "timerfds", timerfds },
    { "signalfds", signalfds },
    { "proc-files", proc_files },
    { "fasync", fasync },
    { "inotify", inotify },
    { "posix-timers", posix_timers },
    { "queued-signals", queued_signals },
    { "shared-memory", shared_memory },
    { "messages", messages },
    { "semaphores", semaphores },
    { "message-queues", message_queues },
    { "record-locks", record_locks },
    { "open-file-locks", open_file_locks },
    { "memfd", memfd },
    { "files-in-tmp", files_in_tmp },
    { "files-in-shm", files_in_shm },
    { "mapped-file", mapped_file },
    { "allocated-file", allocated_file },
    { "empty-files", empty_files },
    { "hard-links", hard_links },
    { "symbolic-links", symbolic_links },
    { "folders", folders },
    { "attributes", attributes },
    { "access-lists", access_lists },
    { "missing-names", missing_names },
};

int main(int argc, char **argv)
{
    long (*take)(void) = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            take = kinds[i].take;
    if (take == NULL) {
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            puts(kinds[i].name);
        return 2;
    }
    int done[2];
    if (pipe(done) < 0)
        return 1;
    for (number = 1; number < PROCESSES; number++)
        if (fork() == 0)
            break;
    long taken = take();
    (void)!write(done[1], &taken, sizeof taken);
    if (number < PROCESSES)
        (void)pause();
    /* The others are asleep then, or killed. */
    (void)close(done[1]);
    long sum = 0;
    for (int i = 0; i < PROCESSES; i++) {
        struct pollfd polled = { .fd = done[0], .events = POLLIN };
        if (poll(&polled, 1, 3000) <= 0 || read(done[0], &taken, sizeof taken) != sizeof taken)
            break;
        sum += taken;
    }
    (void)usleep(60000);
    puts(sum == 0 ? "refused" : "taken");
    return 0;
}
