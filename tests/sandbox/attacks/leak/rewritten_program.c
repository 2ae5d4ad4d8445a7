/*
 * attack: Replaces its own compiled program in the box; the next runs of the same program start the one that was kept.
 * copies: 6
 * expect: accepted stdout="original\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    puts("original");
    fflush(stdout);
    static const char other[] = "#!/bin/sh\necho ESCAPED: the changed one\n";
    rename("/box/main", "/box/old");
    int fd = open("/box/main", O_WRONLY | O_CREAT, 0777);
    (void)!write(fd, other, strlen(other));
    int old = open("/box/old", O_WRONLY);
    (void)!write(old, other, strlen(other));
    (void)!ftruncate(old, 0);
    return 0;
}
