/*
 * attack: One byte more than the limit.
 * limits: {"output_bytes": 1000}
 * expect: output_limit stdout~"^x{1000}$"
 */
#include <stdio.h>

int main(void)
{
    for (int i = 0; i < 1001; i++)
        putchar('x');
}
