/*
 * attack: Writes the maps of its own user namespace again, and the one nobody needs a right for.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    static const char *const files[] = { "uid_map", "gid_map", "setgroups", "timens_offsets" };
    static const char *const texts[] = { "0 0 1", "0 0 1", "allow", "monotonic 100 0" };
    for (int i = 0; i < 4; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/self/%s", files[i]);
        int fd = open(path, O_WRONLY);
        if (fd >= 0 && write(fd, texts[i], strlen(texts[i])) >= 0)
            won += printf("ESCAPED: %s\n", files[i]);
    }
    int fd = open("/proc/self/projid_map", O_WRONLY); /* open to all by the kernel's rules, and a map of nothing here */
    (void)!write(fd, "0 0 4294967295", 14);
    if (setuid(0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0 || getuid() == 0)
        won += printf("ESCAPED: somebody else\n");
    if (won == 0)
        puts("refused");
}
