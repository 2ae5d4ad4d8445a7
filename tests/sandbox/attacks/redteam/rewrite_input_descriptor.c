/*
 * attack: Writes into the very file that is its input, by every way but the one that is closed.
 * stdin: "input"
 * copies: 3
 * expect: accepted stdout~"refused\n$"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    char text[6] = "";
    int fd = open("/proc/self/fd/0", O_RDWR);
    if (fd >= 0 && (write(fd, "x", 1) > 0 || pwrite(fd, "x", 1, 0) > 0))
        won += printf("ESCAPED: write\n");
    if (ftruncate(fd, 0) == 0 || ftruncate(fd, 1 << 20) == 0)
        won += printf("ESCAPED: truncate\n");
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0)
        won += printf("ESCAPED: a hole\n");
    if (mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
        won += printf("ESCAPED: mapped\n");
    if (fchmod(0, 0600) == 0 || fchown(0, getuid(), getgid()) == 0 || futimens(0, NULL) == 0)
        (void)puts("its own file by now"); /* of this run alone; what counts is its content */
    if (fcntl(0, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0)
        won += printf("ESCAPED: another seal\n");
    if (read(0, text, 5) != 5 || strcmp(text, "input") != 0)
        won += printf("ESCAPED: the input is %s\n", text);
    if (won == 0)
        puts("refused");
}
