/*
 * attack: Becomes itself again for ever; its clock goes on.
 * limits: {"cpu_time_ms": 250, "wall_time_ms": 3000}
 * expect: time_limit
 */
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argc;
    execv("/proc/self/exe", argv);
    return 1;
}
