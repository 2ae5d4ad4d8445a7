/*
 * attack: Throws the image's shared pages out of the host's cache, which slows neighbours and is a sign to them.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
    int fd = open("/usr/bin/env", O_RDONLY);
    char block[4096];
    while (read(fd, block, sizeof block) > 0)
        ;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 50; i++) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)lseek(fd, 0, SEEK_SET);
        while (read(fd, block, sizeof block) > 0)
            ;
    }
    getrusage(RUSAGE_SELF, &after);
    puts(after.ru_inblock - before.ru_inblock < 50 ? "refused" : "ESCAPED: each round was read from the disk");
}
