/*
 * attack: None: sleeps while kill_neighbour.c tries to end it.
 * part: yes
 * limits: {"wall_time_ms": 5000}
 * expect: accepted stdout="alive\n" wall>=900
 */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    usleep(900000 * @SLOW@);
    puts("alive");
}
