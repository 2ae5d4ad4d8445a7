/*
 * attack: Calls newer than the library that wrote the filter: statmount, listmount, open_tree_attr, cachestat and all
 * numbers behind them; what a filter does not know it must not allow.
 * expect: accepted stdout="refused\n"
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    /* The same numbers on every architecture. */
    enum { CACHESTAT = 451, MAP_SHADOW_STACK = 453, STATMOUNT = 457, LISTMOUNT, LSM_GET, LSM_SET, LSM_LIST,
           OPEN_TREE_ATTR = 467 };
    struct { unsigned size, spare; unsigned long mount, parameter, space; } all = { .size = 24, .mount = ~0ul };
    unsigned long found[64] = { 0 }, range[2] = { 0, 4096 };
    int won = 0;
    if (syscall(LISTMOUNT, &all, found, 64, 0) >= 0)
        won += printf("ESCAPED: listmount\n");
    all.mount = found[0];
    all.parameter = 1;
    if (syscall(STATMOUNT, &all, found, sizeof found, 0) >= 0 || (errno != EPERM && errno != ENOSYS))
        won += printf("ESCAPED: statmount is there, errno %d\n", errno);
    if (syscall(OPEN_TREE_ATTR, AT_FDCWD, "/usr", 1, found, 32) >= 0 || (errno != EPERM && errno != ENOSYS))
        won += printf("ESCAPED: open_tree_attr is there, errno %d\n", errno);
    if (syscall(CACHESTAT, open("/usr/bin/env", O_RDONLY), range, found, 0) == 0)
        won += printf("ESCAPED: cachestat tells what the host reads\n");
    if (syscall(LSM_LIST, found, range, 0) >= 0)
        won += printf("ESCAPED: lsm_list_modules\n");
    for (int number = 468; number < 560; number++)
        if (syscall(number, 0, 0, 0, 0, 0, 0) >= 0 || (errno != ENOSYS && errno != EPERM))
            won += printf("ESCAPED: number %d, errno %d\n", number, errno);
    if (won == 0)
        puts("refused");
}
