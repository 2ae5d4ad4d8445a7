/* network_memory: see the header. */
#include "sandboxd/network_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Of a socket, and of what remains of a closed one in TIME_WAIT, with what belongs to them (Linux 6.18). */
#define SOCKET_BYTES 3072u
#define TIME_WAIT_BYTES 384u

static const char *const names[] = { "sockstat", "sockstat6" };

/* The number after the word `key`, or 0. */
static uint64_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

void network_memory_sample(struct network_memory *network, pid_t task)
{
    uint64_t bytes = 0;
    for (int i = 0; i < 2; i++) {
        char path[48], text[512];
        (void)snprintf(path, sizeof path, "/proc/%d/net/%s", (int)task, names[i]);
        if (network->files[i] < 0)
            network->files[i] = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = network->files[i] < 0 ? -1 : pread(network->files[i], text, sizeof text - 1, 0);
        if (got <= 0)
            continue;
        text[got] = '\0';
        bytes += SOCKET_BYTES * number_after(text, i == 0 ? "TCP: inuse " : "TCP6: inuse ");
        bytes += TIME_WAIT_BYTES * number_after(text, " tw ");
    }
    if (bytes > network->peak_bytes)
        network->peak_bytes = bytes;
}

void network_memory_done(struct network_memory *network)
{
    for (int i = 0; i < 2; i++)
        cleanup_close(&network->files[i]);
    *network = NETWORK_MEMORY_NONE;
}
