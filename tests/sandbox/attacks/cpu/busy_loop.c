/*
 * attack: An endless loop; its CPU time ends it, close to the limit.
 * limits: {"cpu_time_ms": 250, "wall_time_ms": 5000}
 * expect: time_limit stdout="" cpu>=250 cpu<=400
 */
int main(void)
{
    for (volatile unsigned long i = 0;; i++)
        ;
}
