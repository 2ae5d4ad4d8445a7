/*
 * attack: Asks for names that do not exist, millions of them, below the image and the box: the kernel remembers each.
 * limits: {"cpu_time_ms": 3000, "wall_time_ms": 6000, "memory_bytes": 33554432}
 * expect: time_limit
 * expect: memory_limit
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    static const char *const folders[] = { "/usr/lib", "/etc", "/box", "/tmp", "/proc/self", "/dev" };
    char name[300];
    struct stat st;
    for (unsigned long i = 0;; i++) {
        snprintf(name, sizeof name, "%s/%0200lu", folders[i % 6], i);
        stat(name, &st);
    }
}
