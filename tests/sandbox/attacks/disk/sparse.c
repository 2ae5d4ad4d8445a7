/*
 * attack: A file of eight exabytes with nothing in it.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    int fd = open("/tmp/sparse", O_RDWR | O_CREAT, 0600);
    puts(ftruncate(fd, 0x7fffffffffffffff) == 0 || ftruncate(fd, 1l << 40) == 0 ? "ESCAPED" : "refused");
}
