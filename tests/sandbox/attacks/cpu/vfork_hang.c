/*
 * attack: The parent of a vfork sleeps uninterruptibly until its child ends, which it never does.
 * limits: {"wall_time_ms": 250}
 * expect: time_limit wall<=400
 */
#include <unistd.h>

int main(void)
{
    if (vfork() == 0)
        for (;;)
            pause();
}
