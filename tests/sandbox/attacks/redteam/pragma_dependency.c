/*
 * attack: Asks the compiler by a pragma whether files of the host are newer than this one.
 * expect: accepted stdout="refused\n"
 * expect: compile_error stderr~"No such file"
 */
#define _GNU_SOURCE
#include <stdio.h>

#pragma GCC dependency "@CANARY@/open/readable"
#pragma GCC dependency "/etc/shadow"

int main(void)
{
    puts("refused");
}
