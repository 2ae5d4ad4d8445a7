/*
 * attack: Asks, without including, which files of the host are there.
 * expect: accepted stdout="refused\n"
 */
#include <stdio.h>

int main(void)
{
#if __has_include("@CANARY@/secret") || __has_include("/etc/shadow") || __has_include("/root/.bashrc") || \
    __has_include("/var/lib/dpkg/status") || __has_include("/proc/1/environ") || __has_include("/etc/hostname")
    puts("ESCAPED");
#else
    puts("refused");
#endif
}
