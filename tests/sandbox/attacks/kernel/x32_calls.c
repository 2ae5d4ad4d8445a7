/*
 * attack: Calls of the x32 interface: the same gate, numbers with a bit set that a list of numbers does not hold.
 * needs: x86_64
 * expect: runtime_error signal=SIGSYS stdout=""
 */
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    syscall(0x40000000 + SYS_getpid);
    syscall(0x40000000 + 521 /* ptrace */, 0, 0, 0, 0);
    return write(1, "ESCAPED\n", 8) > 0 ? 0 : 1;
}
