/*
 * attack: None: a program may have children, and both speak.
 * expect: accepted stdout="child\nparent\n"
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    if (fork() == 0) {
        puts("child");
        return 0;
    }
    wait(NULL);
    puts("parent");
}
