/*
 * attack: Hides memory in System V segments that stay when nobody is attached.
 * limits: {"memory_bytes": 67108864}
 * expect: memory_limit memory<=67108864
 */
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void)
{
    for (int i = 0; i < 64; i++) {
        char *at = shmat(shmget(IPC_PRIVATE, 8 << 20, 0600), NULL, 0);
        if (at == (char *)-1)
            return 1;
        memset(at, 1, 8 << 20);
        shmdt(at);
    }
    return 0;
}
