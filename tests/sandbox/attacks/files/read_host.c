/*
 * attack: Opens what a host keeps for itself, by absolute paths and by the root folders of processes.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    static const char *const paths[] = {
        "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/hostname", "/etc/machine-id", "/etc/resolv.conf",
        "/etc/ssh", "/etc/evalx", "/root", "/home", "/run", "/srv", "/opt/evalx", "/mnt", "/boot", "/sys",
        "/var/lib/evalx", "/var/run/docker.sock", "@CANARY@", "@CANARY@/secret", "@CANARY@/open/readable",
        "/proc/1/root/etc/shadow", "/proc/self/root/etc/shadow", "/proc/1/environ", "/proc/1/cwd", "/proc/1/exe",
        "/proc/@WORKER_PID@/environ", "/proc/@LAUNCHER_PID@/root", "/proc/kcore", "/proc/kallsyms", "/dev/mem",
        "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/tty", "/dev/pts", "/dev/ptmx", "/dev/fuse", "/dev/kvm",
        "/dev/net/tun", "/dev/loop-control", "/dev/vsock",
    };
    int won = 0;
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
        if (open(paths[i], O_RDONLY | O_NONBLOCK) >= 0 || access(paths[i], F_OK) == 0)
            won += printf("ESCAPED: %s\n", paths[i]);
    if (won == 0)
        puts("refused");
}
