/*
 * attack: None: output of exactly the limit is whole.
 * limits: {"output_bytes": 1000}
 * expect: accepted stdout~"^x{1000}$"
 */
#include <stdio.h>

int main(void)
{
    for (int i = 0; i < 1000; i++)
        putchar('x');
}
