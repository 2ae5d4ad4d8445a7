/*
 * attack: The program's own first interpreter, named by a section, goes through the descriptors of who starts it.
 * expect: accepted stdout="refused\n"
 * expect: runtime_error
 */
#define _GNU_SOURCE
#include <stdio.h>

const char interpreter[] __attribute__((section(".interp"), used)) =
    "/proc/self/fd/5/../../../../../../..@CANARY@/open/runnable";

int main(void)
{
    puts("refused");
}
