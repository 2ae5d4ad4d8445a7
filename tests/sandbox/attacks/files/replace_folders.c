/*
 * attack: Moves, removes and replaces the writable folders themselves.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    static const char *const folders[] = { "/box", "/tmp", "/dev/shm", "/proc", "/dev", "/usr" };
    int won = 0;
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (rename(folders[i], "/tmp/moved") == 0 || rename("/tmp/moved", folders[i]) == 0 || rmdir(folders[i]) == 0 ||
            renameat2(AT_FDCWD, folders[i], AT_FDCWD, "/box", RENAME_EXCHANGE) == 0)
            won += printf("ESCAPED: %s\n", folders[i]);
    }
    if (won == 0)
        puts("refused");
}
