/*
 * attack: Marks whatever files it was given, by attributes and times, for a later run to read.
 * part: yes
 * expect: accepted stdout="marked\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(void)
{
    static const char *const paths[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/usr/bin/bash", "/etc" };
    const struct timespec old[2] = { { .tv_sec = 12345 }, { .tv_sec = 12345 } };
    for (int fd = 0; fd < 3; fd++) {
        fsetxattr(fd, "user.mark", "secret", 6, 0);
        futimens(fd, old);
        futimens(fd, NULL);
        fchmod(fd, 0123);
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL);
        fcntl(fd, F_SET_RW_HINT, &(unsigned long){ 5 });
    }
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
        setxattr(paths[i], "user.mark", "secret", 6, 0);
        utimensat(AT_FDCWD, paths[i], old, 0);
        utimensat(AT_FDCWD, paths[i], NULL, 0);
        chmod(paths[i], 0123);
        int fd = open(paths[i], O_RDONLY);
        fcntl(fd, F_SET_RW_HINT, &(unsigned long){ 5 });
    }
    puts("marked");
}
