/*
 * attack: Uses up the count of asynchronous I/O that the whole host shares (fs.aio-max-nr).
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    unsigned long made = 0;
    for (int i = 0; i < 1000; i++) {
        unsigned long context = 0;
        if (syscall(SYS_io_setup, 4096, &context) < 0)
            break;
        made += 4096;
    }
    printf(made == 0 ? "refused\n" : "ESCAPED: %lu events\n", made);
}
