/*
 * attack: A call of the 32-bit interface, whose numbers mean others than the filter's; it ends the program.
 * needs: x86_64
 * expect: runtime_error signal=SIGSYS stdout=""
 * expect: runtime_error signal=SIGSEGV stdout=""
 */
#include <unistd.h>

int main(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
    return write(1, "ESCAPED\n", 8) > 0 && result > 0 ? 0 : 1;
}
