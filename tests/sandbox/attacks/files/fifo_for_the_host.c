/*
 * attack: FIFOs and sockets where a supervisor would open files, to make it wait for ever.
 * limits: {"wall_time_ms": 2000}
 * expect: accepted stdout="left\n" wall<=1000
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
    static const char *const names[] = { "stdout", "stderr", "meta", "run.sh", "main.o", "a.out", "result" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        mkfifo(names[i], 0666);
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/box/control" };
    bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address);
    unlink("/box/main");
    mkfifo("/box/main", 0777);
    puts("left");
}
