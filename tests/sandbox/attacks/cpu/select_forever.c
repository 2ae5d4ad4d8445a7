/*
 * attack: select() on nothing, without a time-out.
 * limits: {"wall_time_ms": 250}
 * expect: time_limit wall<=400
 */
#include <stddef.h>
#include <sys/select.h>

int main(void)
{
    return select(0, NULL, NULL, NULL, NULL);
}
