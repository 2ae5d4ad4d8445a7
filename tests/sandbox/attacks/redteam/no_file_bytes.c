/*
 * attack: May write no byte into any file, and yet what was compiled must arrive in the box whole.
 * limits: {"file_bytes": 0}
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    int fd = open("/box/new", O_WRONLY | O_CREAT, 0600);
    signal(SIGXFSZ, SIG_IGN);
    puts(write(fd, "x", 1) < 0 ? "refused" : "ESCAPED: a byte");
}
