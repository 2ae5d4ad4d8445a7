/*
 * exec_cache_program: a static program, and so large enough to be cached.  Prints WORD, how its file got into the box
 * ("cached": a read-only mount, "copy": its own file), and the content of beside.txt.
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
    const char *origin = (fs.f_flag & ST_RDONLY) == 0 ? "copy" : can_write ? "writable" : "cached";
    printf("%s %s %s\n", WORD, origin, beside);
    return 0;
}
