/*
 * attack: Ends itself from one thread while others begin, execute and end, at once.
 * copies: 10
 * expect: runtime_error signal=SIGKILL
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void *storm(void *context)
{
    for (;;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, storm, context) == 0)
            pthread_detach(thread);
        if (vfork() == 0) {
            execl("/usr/bin/true", "true", NULL);
            _exit(1);
        }
    }
}

int main(void)
{
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        (void)pthread_create(&thread, NULL, storm, NULL);
    }
    usleep(5000);
    (void)kill(getpid(), SIGKILL);
}
