/*
 * attack: Writes into the interpreter and libraries it runs on by its own magic links (CVE-2019-5736), then into itself.
 * copies: 2
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    static const char *const paths[] = { "/proc/self/exe", "/proc/1/exe", "/proc/self/map_files", "/lib64/ld-linux-x86-64.so.2",
                                         "/usr/lib/x86_64-linux-gnu/libc.so.6" };
    int won = 0;
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
        if (open(paths[i], O_WRONLY) >= 0 || open(paths[i], O_RDWR | O_TRUNC) >= 0)
            won += printf("ESCAPED: %s\n", paths[i]);
    if (won == 0)
        puts("refused");
    /* A new file in the old one's place: the next run of the batch must not start it. */
    unlink("/box/main");
    int fd = open("/box/main", O_WRONLY | O_CREAT, 0777);
    (void)!write(fd, "#!/bin/sh\necho ESCAPED\n", 23);
}
