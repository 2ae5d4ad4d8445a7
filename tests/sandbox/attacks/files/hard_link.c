/*
 * attack: Hard links to files of the image, to keep or to change them from a folder it may write to.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    static const char *const targets[] = { "/usr/bin/env", "/etc/passwd", "/proc/self/exe", "/proc/self/fd/0",
                                           "/proc/self/status", "/dev/null" };
    int won = 0;
    for (unsigned i = 0; i < sizeof targets / sizeof *targets; i++) {
        if (linkat(AT_FDCWD, targets[i], AT_FDCWD, "/tmp/kept", 0) == 0)
            won += printf("ESCAPED: %s\n", targets[i]);
        unlink("/tmp/kept");
    }
    if (linkat(AT_FDCWD, "/proc/self/fd/0", AT_FDCWD, "/tmp/input", AT_SYMLINK_FOLLOW) == 0)
        won += printf("ESCAPED: the input\n");
    if (won == 0)
        puts("refused");
}
