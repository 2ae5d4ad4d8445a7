/*
 * attack: Sockets without a place in the file system: those of the host, found by name, by listing and by credentials.
 * expect: accepted stdout="refused\n"
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
    static const char *const names[] = { "@ABSTRACT@", "/tmp/.X11-unix/X0", "/org/bluez", "/tmp/dbus", "/containerd-shim/x" };
    int won = 0;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        for (int kind = 1; kind <= 5; kind++) {
            struct sockaddr_un to = { .sun_family = AF_UNIX };
            memcpy(to.sun_path + 1, names[i], strlen(names[i]));
            int fd = socket(AF_UNIX, kind, 0);
            if (fd >= 0 && connect(fd, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(names[i])) == 0)
                won += printf("ESCAPED: %s\n", names[i]);
            close(fd);
        }
    FILE *list = fopen("/proc/self/net/unix", "r");
    char line[300];
    while (list != NULL && fgets(line, sizeof line, list) != NULL)
        if (strchr(line, '@') != NULL || strstr(line, "/run") != NULL)
            won += printf("ESCAPED: sees %s", line);
    if (won == 0)
        puts("refused");
}
