/*
 * attack: Looks for capabilities in every set, and raises them.
 * expect: accepted stdout="refused\n"
 */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2] = { 0 };
    int won = 0;
    syscall(SYS_capget, &head, sets);
    if (sets[0].effective | sets[0].permitted | sets[0].inheritable | sets[1].effective | sets[1].permitted)
        won += printf("ESCAPED: has capabilities\n");
    for (int cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0)
            won += printf("ESCAPED: capability %d\n", cap);
    memset(sets, 0xff, sizeof sets);
    if (syscall(SYS_capset, &head, sets) == 0)
        won += printf("ESCAPED: capset\n");
    if (prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0)
        won += printf("ESCAPED: securebits\n");
    if (won == 0)
        puts("refused");
}
