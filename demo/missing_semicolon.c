/* Does not compile. */
#include <stdio.h>

int main(void)
{
    puts("never")
    return 0;
}
