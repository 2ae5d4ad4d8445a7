/*
 * attack: Reads memory, stack and disk blocks it never wrote, for what another run had there.
 * after: marks_memory.c
 * copies: 2
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int holds_mark(const char *at, size_t len)
{
    return memmem(at, len, "plum" "-jam", 8) != NULL;
}

int main(void)
{
    int won = 0;
    size_t len = 64 << 20;
    char *fresh = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < len; i++)
        if (fresh[i] != 0) {
            won += printf("ESCAPED: memory\n");
            break;
        }
    int fd = open("/tmp/blocks", O_RDWR | O_CREAT, 0600);
    (void)!ftruncate(fd, 8 << 20);
    (void)!posix_fallocate(fd, 0, 8 << 20);
    char *blocks = mmap(NULL, 8 << 20, PROT_READ, MAP_SHARED, fd, 0);
    if (blocks != MAP_FAILED && holds_mark(blocks, 8 << 20))
        won += printf("ESCAPED: blocks\n");
    if (won == 0)
        puts("refused");
}
