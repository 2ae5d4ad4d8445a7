/*
 * attack: Physical addresses, mapped files and kernel stacks by its own entries of /proc.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    static char touched[8192];
    touched[4096] = 1;
    if (pread(fd, &entry, 8, (off_t)((uintptr_t)touched / 4096 * 8 + 8)) == 8 && (entry & ((1ull << 55) - 1)) != 0)
        won += printf("ESCAPED: page frame %llx\n", (unsigned long long)entry);
    DIR *files = opendir("/proc/self/map_files");
    for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;)
        if (file->d_name[0] != '.' && openat(dirfd(files), file->d_name, O_RDONLY) >= 0)
            won += printf("ESCAPED: %s\n", file->d_name);
    char stack[256] = "";
    fd = open("/proc/self/stack", O_RDONLY);
    if (fd >= 0 && read(fd, stack, sizeof stack - 1) > 0 && strstr(stack, "+0x") != NULL)
        won += printf("ESCAPED: the kernel's stack\n");
    if (won == 0)
        puts("refused");
}
