/*
 * exec_cache_program: static, so large enough for a shelf.  Prints WORD, how it lies in its box ("shelf": read-only, not its
 * own; "copy"), and what beside.txt holds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifndef WORD
#define WORD "one"
#endif

int main(void)
{
    struct statvfs fs;
    char beside[64] = "nothing";
    int file = open("beside.txt", O_RDWR);
    if (file >= 0) {
        ssize_t got = read(file, beside, sizeof beside - 1);
        beside[got > 0 ? got : 0] = '\0';
    }
    if (statvfs("/box/main", &fs) != 0)
        return 1;
    int can_write = access("/box/main", W_OK) == 0 || unlink("/box/main") == 0;
    const char *lies = (fs.f_flag & ST_RDONLY) == 0 ? "copy" : can_write ? "open shelf" : "shelf";
    printf("%s %s %s\n", WORD, lies, beside);
    return 0;
}
