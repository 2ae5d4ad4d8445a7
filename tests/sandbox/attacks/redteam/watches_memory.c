/*
 * attack: Kernel memory by watches on many files.
 * limits: {"memory_bytes": 33554432}
 * expect: accepted memory<=33554432
 * expect: memory_limit memory<=33554432
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(void)
{
    long made = 0;
    for (int i = 0; i < 200; i++) {
        int notify = inotify_init1(IN_NONBLOCK);
        if (notify < 0)
            break;
        for (int k = 0; k < 500; k++) {
            char name[64];
            (void)snprintf(name, sizeof name, "/box/%d", k);
            if (i == 0)
                close(open(name, O_WRONLY | O_CREAT, 0600));
            made += inotify_add_watch(notify, name, IN_ALL_EVENTS) >= 0;
        }
    }
    puts("done");
}
