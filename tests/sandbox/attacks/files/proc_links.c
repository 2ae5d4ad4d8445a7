/*
 * attack: Follows the magic links of every process it can see: root, cwd, exe, fd, ns, map_files.
 * expect: accepted stdout="refused\n"
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    char path[600];
    static const char *const inside[] = { "root@CANARY@/secret", "cwd/../@CANARY@/secret", "environ", "mem", "maps",
                                          "fd/0", "ns/mnt", "cgroup", "stack", "syscall", "auxv" };
    int won = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strspn(entry->d_name, "0123456789") == 0 || entry->d_name[0] == '0')
            continue;
        snprintf(path, sizeof path, "%d", getpid());
        if (strcmp(path, entry->d_name) == 0)
            continue;
        won += printf("ESCAPED: sees process %s\n", entry->d_name);
    }
    for (int id = 1; id < 40; id++)
        for (unsigned i = 0; i < sizeof inside / sizeof *inside && id != getpid(); i++) {
            snprintf(path, sizeof path, "/proc/%d/%s", id, inside[i]);
            if (open(path, O_RDONLY | O_NONBLOCK) >= 0)
                won += printf("ESCAPED: %s\n", path);
        }
    snprintf(path, sizeof path, "/proc/self/root%s/secret", "@CANARY@");
    if (open(path, O_RDONLY) >= 0)
        won += printf("ESCAPED: own root\n");
    if (won == 0)
        puts("refused");
}
