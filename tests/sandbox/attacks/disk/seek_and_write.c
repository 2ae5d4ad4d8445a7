/*
 * attack: Writes a byte two gigabytes into a file.
 * limits: {"file_bytes": 1048576}
 * expect: runtime_error signal=SIGXFSZ
 */
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
    int fd = open("big", O_RDWR | O_CREAT, 0600);
    return pwrite(fd, "x", 1, 2l << 30) == 1 ? 0 : 1;
}
