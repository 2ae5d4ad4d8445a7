/*
 * attack: Leaves a shared memory segment, a semaphore, a message queue of both families, for ipc_find.c.
 * part: yes
 * expect: accepted stdout="left\n"
 */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(void)
{
    char *at = shmat(shmget(0x45766c78, 4096, IPC_CREAT | 0666), NULL, 0);
    if (at != (char *)-1)
        strcpy(at, "mark");
    semget(0x45766c78, 1, IPC_CREAT | 0666);
    msgget(0x45766c78, IPC_CREAT | 0666);
    mq_open("/evalx-mark", O_CREAT | O_RDWR, 0666, NULL);
    shm_open("/evalx-mark", O_CREAT | O_RDWR, 0666);
    puts("left");
}
