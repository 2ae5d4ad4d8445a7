/*
 * network_memory: memory of TCP sockets that no cgroup is charged for.
 *
 * The kernel makes the server's end of a connection while it handles a packet, for nobody's account, and charges it
 * only to the process that accepts it.  So the slot counts the sockets in the network of a run that has its own.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct network_memory {
    int files[2]; /* sockstat of the run's network, for IPv4 and IPv6; -1: not open yet */
    uint64_t peak_bytes;
};

#define NETWORK_MEMORY_NONE ((struct network_memory){ .files = { -1, -1 } })

/* Counts the sockets in the network of `task`, which is looked at only the first time. */
void network_memory_sample(struct network_memory *network, pid_t task);
/* The network ends when no process is in it and the files are closed. */
void network_memory_done(struct network_memory *network);
