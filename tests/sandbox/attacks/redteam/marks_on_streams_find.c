/*
 * attack: Looks for the marks of a run before on its input, its outputs, the devices and the image.
 * after: marks_on_streams_leave.c
 * copies: 4
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int won;

static void look(int fd, const char *what)
{
    char value[16];
    unsigned long hint = 0;
    struct stat st;
    if (fgetxattr(fd, "user.mark", value, sizeof value) >= 0)
        won += printf("ESCAPED: an attribute of %s\n", what);
    if (fstat(fd, &st) == 0 && (st.st_mtime == 12345 || st.st_atime == 12345 || (st.st_mode & 0777) == 0123))
        won += printf("ESCAPED: times or mode of %s\n", what);
    if (fcntl(fd, F_GET_RW_HINT, &hint) == 0 && hint == 5)
        won += printf("ESCAPED: the hint of %s\n", what);
}

int main(void)
{
    static const char *const paths[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/usr/bin/bash", "/etc" };
    look(0, "the input");
    look(1, "the output");
    look(2, "the errors");
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
        look(open(paths[i], O_RDONLY), paths[i]);
    if (won == 0)
        puts("refused");
}
