/*
 * attack: An exit code whose low byte is 0; the kernel keeps eight bits, so this is 0, and an honest success.
 * expect: accepted exit=0
 */
#include <unistd.h>

int main(void)
{
    _exit(256);
}
