/*
 * attack: The classic: chroot below, and climb above the old root by a folder that was open before.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    struct stat top, here;
    stat("/", &top);
    int above = open("/", O_RDONLY | O_DIRECTORY);
    mkdir("/tmp/below", 0700);
    (void)!chroot("/tmp/below");
    (void)!fchdir(above);
    for (int i = 0; i < 64; i++)
        (void)!chdir("..");
    (void)!chroot(".");
    stat(".", &here);
    puts(here.st_dev == top.st_dev && here.st_ino == top.st_ino && access("/@CANARY@", F_OK) != 0 ? "refused" : "ESCAPED");
}
