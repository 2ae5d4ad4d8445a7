/*
 * attack: Every signal to init, by every call that sends one, with made-up senders.
 * expect: accepted stdout="init lives\n"
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    siginfo_t made_up = { .si_code = SI_KERNEL };
    int handle = (int)syscall(SYS_pidfd_open, 1, 0);
    for (int number = 1; number <= 64; number++) {
        made_up.si_signo = number;
        (void)kill(1, number);
        for (int code = -64; code <= 128; code += 64) {
            made_up.si_code = code;
            (void)syscall(SYS_rt_sigqueueinfo, 1, number, &made_up);
            (void)syscall(SYS_rt_tgsigqueueinfo, 1, 1, number, &made_up);
        }
        (void)syscall(SYS_tgkill, 1, 1, number);
        if (handle >= 0)
            for (unsigned flags = 0; flags < 8; flags++)
                (void)syscall(SYS_pidfd_send_signal, handle, number, NULL, flags);
    }
    usleep(20000);
    puts(kill(1, 0) == 0 ? "init lives" : "init is gone");
}
