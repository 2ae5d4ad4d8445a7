/* How many primes are there below the number on standard input? */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    unsigned long limit, count = 0;
    if (scanf("%lu", &limit) != 1)
        return 1;
    char *composite = calloc(limit + 1, 1);
    if (composite == NULL)
        return 1;
    for (unsigned long n = 2; n < limit; n++) {
        if (composite[n])
            continue;
        count++;
        for (unsigned long multiple = n * n; multiple < limit; multiple += n)
            composite[multiple] = 1;
    }
    printf("%lu\n", count);
    free(composite);
    return 0;
}
