/*
 * attack: Looks for System V and POSIX objects of another run, and for one the host has under a known key.
 * after: ipc_leave.c
 * copies: 4
 * expect: accepted stdout="refused\n"
 */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(void)
{
    static const key_t keys[] = { 0x45766c78, @SHM_KEY@ };
    int won = 0;
    for (int i = 0; i < 2; i++)
        if (shmget(keys[i], 0, 0) >= 0 || semget(keys[i], 0, 0) >= 0 || msgget(keys[i], 0) >= 0)
            won += printf("ESCAPED: key %x\n", (unsigned)keys[i]);
    for (int id = 0; id < 40; id++)
        if (shmat(id, NULL, SHM_RDONLY) != (void *)-1)
            won += printf("ESCAPED: segment %d\n", id);
    if (mq_open("/evalx-mark", O_RDWR) != (mqd_t)-1 || shm_open("/evalx-mark", O_RDWR, 0) >= 0)
        won += printf("ESCAPED: POSIX\n");
    if (shm_open("/evalx-canary", O_RDWR, 0) >= 0)
        won += printf("ESCAPED: the host's /dev/shm\n");
    if (won == 0)
        puts("refused");
}
