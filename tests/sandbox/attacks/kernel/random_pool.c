/*
 * attack: Steers the host's random numbers by the device it may open.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(void)
{
    struct { int bits, bytes; char content[8]; } entropy = { 64, 8, { 0 } };
    int fd = open("/dev/urandom", O_RDWR), bits = 8192, won = 0;
    won += ioctl(fd, RNDADDENTROPY, &entropy) == 0;
    won += ioctl(fd, RNDADDTOENTCNT, &bits) == 0;
    won += ioctl(fd, RNDZAPENTCNT) == 0 || ioctl(fd, RNDCLEARPOOL) == 0;
    won += ioctl(fd, 0x5207 /* RNDRESEEDCRNG */) == 0;
    puts(won == 0 ? "refused" : "ESCAPED");
}
