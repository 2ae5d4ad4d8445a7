/*
 * attack: Fills memory and files with a mark, for fresh_memory.c.
 * part: yes
 * expect: accepted stdout="marked\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    char *block = malloc(64 << 20);
    for (long i = 0; i < 64 << 20; i += 8)
        memcpy(block + i, "plum-jam", 8);
    int fd = open("/tmp/marks", O_RDWR | O_CREAT, 0600);
    (void)!write(fd, block, 8 << 20);
    puts("marked");
}
