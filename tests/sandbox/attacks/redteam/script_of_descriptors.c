/*
 * attack: Scripts whose interpreter is named through descriptors: of a process on its way to another program,
 * those are still open.
 * expect: accepted stdout="refused\n"
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int won = 0;
    for (int number = 0; number < 40; number++) {
        char text[128];
        int len = snprintf(text, sizeof text, "#!/proc/self/fd/%d/../../../../../../..@CANARY@/open/runnable\n", number);
        int fd = open("/box/script", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        (void)!write(fd, text, (size_t)len);
        close(fd);
        int folder = open("/", O_RDONLY | O_CLOEXEC), status = 0;
        pid_t child = fork();
        if (child == 0) {
            execl("/box/script", "script", NULL);
            _exit(99);
        }
        waitpid(child, &status, 0);
        close(folder);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 99)
            won += printf("ESCAPED: by descriptor %d\n", number);
    }
    if (won == 0)
        puts("refused");
}
