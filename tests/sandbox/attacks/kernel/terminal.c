/*
 * attack: Pushes characters into a terminal it might share with the operator (TIOCSTI, TIOCLINUX), high bits set.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    for (int fd = 0; fd < 3; fd++)
        if (ioctl(fd, TIOCSTI, "x") == 0 || syscall(SYS_ioctl, fd, 0x100005412ul, "x") == 0 || ioctl(fd, TIOCSCTTY, 1) == 0)
            won++;
    if (open("/dev/tty", O_RDWR) >= 0 || open("/dev/console", O_RDWR) >= 0 || open("/dev/ptmx", O_RDWR) >= 0)
        won++;
    puts(won == 0 ? "refused" : "ESCAPED");
}
