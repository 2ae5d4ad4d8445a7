/*
 * attack: Crashes itself and children with large memory, to fill the disk with cores or to start the host's handler.
 * expect: runtime_error signal=SIGABRT stdout="no core\n"
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    char *block = malloc(32 << 20);
    memset(block, 1, 32 << 20);
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            abort();
    while (wait(NULL) > 0)
        ;
    int found = 0;
    DIR *folder = opendir("/box");
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        found += strncmp(entry->d_name, "core", 4) == 0;
    puts(found == 0 ? "no core" : "ESCAPED: a core file");
    fflush(stdout);
    abort();
}
