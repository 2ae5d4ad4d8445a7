/*
 * attack: Takes in what the compiler itself was given: its streams, its environment, its memory, by all ways that read files.
 * expect: compile_error stderr!~"EVALX|secret of the service"
 */
__asm__(".section .rodata\n.globl taken\ntaken:\n.incbin \"/proc/self/environ\"\n.incbin \"/dev/stdin\"\n"
        ".incbin \"/proc/self/fd/0\"\n.incbin \"/proc/1/environ\"\n.incbin \"/proc/self/mem\"\n");
#include "/proc/self/environ"
#include "/proc/self/cmdline"
#include "/proc/1/environ"
#include "/dev/fd/0"
int main(void)
{
}
