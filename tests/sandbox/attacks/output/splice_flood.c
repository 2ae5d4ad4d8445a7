/*
 * attack: Floods by moving pages instead of writing bytes, and changes the pages while they wait to be read.
 * limits: {"output_bytes": 65536, "cpu_time_ms": 3000}
 * expect: output_limit
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>

int main(void)
{
    char *block = aligned_alloc(4096, 65536);
    for (unsigned long n = 0;; n++) {
        struct iovec pages = { block, 65536 };
        block[n % 65536] = (char)n;
        if (vmsplice(1, &pages, 1, SPLICE_F_GIFT) < 0)
            return 1;
    }
}
