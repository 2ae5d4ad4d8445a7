/*
 * attack: Paths that are no paths.
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    static const char *const paths[] = { NULL, "", (const char *)1, (const char *)0xffff800000000000 };
    int won = 0;
    for (int i = 0; i < 4; i++)
        if (syscall(SYS_openat, AT_FDCWD, paths[i], O_RDONLY) >= 0 || syscall(SYS_unlink, paths[i]) == 0 ||
            syscall(SYS_execve, paths[i], NULL, NULL) == 0)
            won++;
    puts(won == 0 ? "refused" : "ESCAPED");
}
