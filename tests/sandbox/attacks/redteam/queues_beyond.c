/*
 * attack: Message queues, POSIX and System V, filled to their brim: memory of the group, gone with it.
 * limits: {"memory_bytes": 33554432}
 * copies: 3
 * expect: accepted memory<=33554432
 * expect: memory_limit memory<=33554432
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/msg.h>

int main(void)
{
    static char text[8000];
    for (int i = 0; i < 2000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "/q%d", i);
        mqd_t queue = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, &(struct mq_attr){ .mq_maxmsg = 10, .mq_msgsize = 8000 });
        while (queue != (mqd_t)-1 && mq_send(queue, text, sizeof text, 0) == 0)
            ;
        int old = msgget(IPC_PRIVATE, 0600);
        while (old >= 0 && msgsnd(old, text, 4000, IPC_NOWAIT) == 0)
            ;
    }
    puts("done");
}
