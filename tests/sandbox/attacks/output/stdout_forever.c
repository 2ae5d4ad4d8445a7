/*
 * attack: Prints without end.
 * limits: {"output_bytes": 65536, "cpu_time_ms": 3000}
 * expect: output_limit stdout~"^(x{63}\\n){1024}$"
 */
#include <stdio.h>

int main(void)
{
    for (;;)
        puts("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}
