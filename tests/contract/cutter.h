/*
 * cutter: a TCP proxy in front of a redis-server that can lose an answer.  The request reaches the server and is
 * executed; then the connection is cut before the answer or in the middle of it.  New connections go to the current
 * server_port.
 */
#pragma once
#include <stdatomic.h>

struct cutter {
    int listen_fd, port;
    _Atomic int server_port;
    _Atomic int cuts; /* answers to scripts that are yet to be lost */
    _Atomic int cuts_made;
    _Atomic int kept; /* bytes of such an answer that pass before the cut */
};

void cutter_start(struct cutter *cutter, int server_port); /* runs until the process ends */
