/*
 * attack: Looks for descriptors it was not given, and for folders among those it was.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    for (int fd = 3; fd < 65536; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            won += printf("ESCAPED: descriptor %d\n", fd);
    for (int fd = 0; fd < 3; fd++)
        if (openat(fd, "..", O_RDONLY) >= 0 || openat(fd, ".", O_RDONLY | O_DIRECTORY) >= 0)
            won += printf("ESCAPED: folder %d\n", fd);
    if (won == 0)
        puts("refused");
}
