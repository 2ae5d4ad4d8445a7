/*
 * attack: Rules upon rules of landlock, which a process may always give itself: bounded, charged, and no way to more.
 * limits: {"cpu_time_ms": 3000, "wall_time_ms": 6000, "memory_bytes": 33554432}
 * expect: accepted stdout="refused\n"
 * expect: memory_limit
 * expect: time_limit
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ruleset {
    uint64_t handled_fs;
};
struct beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

int main(void)
{
    int layers = 0;
    for (int i = 0; i < 200; i++) {
        struct ruleset attributes = { .handled_fs = 0x1 };
        int rules = (int)syscall(444, &attributes, sizeof attributes, 0);
        if (rules < 0)
            break;
        for (int k = 0; k < 2000; k++) {
            struct beneath rule = { .allowed = 0x1, .parent = open("/", O_PATH) };
            syscall(445, rules, 1, &rule, 0);
            close(rule.parent);
        }
        if (syscall(446, rules, 0) == 0)
            layers++;
        close(rules);
    }
    puts(layers <= 64 ? "refused" : "ESCAPED: layers without end");
}
