/* clone_onto_stack: see the header.  The kernel gives the child the registers of the call, but for rax and rsp. */
#include "sandboxd/clone_onto_stack.h"

#ifdef SHARES_MEMORY
#include <asm/unistd.h>
#include <errno.h>

pid_t clone_onto_stack(const struct clone_args *args, void (*child)(const struct box_plan *plan),
                       const struct box_plan *plan)
{
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[plan], %%rdi\n\t"
                     "xor %%ebp, %%ebp\n\t" /* the last frame; `plan` may have been in it */
                     "call *%[child]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)__NR_clone3), "D"(args), "S"(sizeof *args), [child] "b"(child), [plan] "r"(plan)
                     : "rcx", "r11", "memory", "cc");
    if (result < 0) {
        errno = (int)-result;
        return -1;
    }
    return (pid_t)result;
}
#endif
