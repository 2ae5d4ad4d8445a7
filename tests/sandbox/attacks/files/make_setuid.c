/*
 * attack: Makes its own program setuid and setgid and starts it again.
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc > 1) {
        puts(geteuid() == 1000 && getegid() == 1000 && getuid() == 1000 ? "refused" : "ESCAPED: another user");
        return 0;
    }
    (void)chown("/box/main", 0, 0);
    (void)chmod("/box/main", 06777);
    execl("/box/main", argv[0], "again", (char *)NULL);
    return 1;
}
