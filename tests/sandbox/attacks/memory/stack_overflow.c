/*
 * attack: Recursion without end.
 * limits: {"stack_bytes": 1048576}
 * expect: runtime_error signal=SIGSEGV
 */
#include <stdio.h>

static int deeper(volatile int depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    return deeper(depth + 1) + frame[0];
}

int main(void)
{
    printf("%d\n", deeper(0));
}
