/*
 * attack: Options for the compiler's second pass in sections of the object, and a plugin among them.
 * expect: accepted stdout="refused\n"
 * expect: compile_error
 */
#define _GNU_SOURCE
#include <stdio.h>

__asm__(".section .gnu.lto_.opts,\"e\",@progbits\n.asciz \"'-fplugin=@CANARY@/open/runnable' '-wrapper' '@CANARY@/open/runnable'\"\n"
        ".section .gnu.lto_main.0,\"e\",@progbits\n.asciz \"no bytecode\"\n.text");

int main(void)
{
    puts("refused");
}
