/*
 * attack: Floods by moving pages of a file instead of writing bytes, and changes the pages while they wait to be read.
 * limits: {"output_bytes": 65536, "cpu_time_ms": 3000}
 * expect: output_limit
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
    int fd = memfd_create("pages", 0);
    char *block = ftruncate(fd, 65536) < 0 ? MAP_FAILED : mmap(NULL, 65536, PROT_WRITE, MAP_SHARED, fd, 0);
    struct iovec pages = { block, 65536 };
    if (block == MAP_FAILED || vmsplice(1, &pages, 1, SPLICE_F_GIFT) >= 0)
        return 1;
    for (unsigned long n = 0;; n++) {
        off_t at = 0;
        memset(block, (char)n, 65536);
        if (splice(fd, &at, 1, NULL, 65536, SPLICE_F_MOVE) < 0)
            return 1;
    }
}
