/* Never ends: the CPU time limit ends it. */
int main(void)
{
    for (volatile unsigned long n = 0;; n++)
        ;
}
