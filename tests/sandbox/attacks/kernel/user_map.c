/*
 * attack: Rewrites the maps of its user namespace and its groups.
 * (The map of project ids is left out: everybody may write his own, and it changes nothing outside the first
 * namespace.)
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <unistd.h>

int main(void)
{
    static const char *const files[] = { "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups" };
    static const char *const texts[] = { "0 0 4294967295", "0 0 4294967295", "allow" };
    int won = 0;
    for (int i = 0; i < 3; i++) {
        int fd = open(files[i], O_WRONLY);
        if (fd >= 0 && write(fd, texts[i], 5) > 0)
            won += printf("ESCAPED: %s\n", files[i]);
    }
    for (uid_t id = 0; id < 3; id++)
        if (setuid(id) == 0 || setreuid(id, id) == 0 || setresuid(id, id, id) == 0 || setgid(id) == 0)
            won += printf("ESCAPED: user %u\n", id);
    (void)setfsuid(0);
    if (setfsuid((uid_t)-1) == 0)
        won += printf("ESCAPED: user of files\n");
    gid_t root = 0;
    if (setgroups(1, &root) == 0 || getgroups(0, NULL) > 1)
        won += printf("ESCAPED: groups\n");
    if (won == 0)
        puts("refused");
}
