/*
 * attack: A forged signal frame: privileged flags and segments in what the kernel restores.
 * needs: x86_64
 * expect: runtime_error signal=SIGSEGV|SIGILL|SIGBUS stdout=""
 */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>

static void handler(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    ucontext_t *frame = context;
    frame->uc_mcontext.gregs[REG_EFL] = -1;
    frame->uc_mcontext.gregs[REG_CSGSFS] = 0x0010;
    frame->uc_mcontext.gregs[REG_RIP] = (long long)0xffffffff81000000;
    frame->uc_mcontext.gregs[REG_RSP] = (long long)0xffffffff81000000;
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}
