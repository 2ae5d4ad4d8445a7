/*
 * cutter: a TCP proxy before redis-server that can lose an answer: the request reaches the server and is carried out,
 * then the connection is cut before a byte of the answer comes back.
 */
#pragma once
#include <stdatomic.h>

struct cutter {
    int listen_fd, port, server_port;
    _Atomic int cuts;     /* answers to scripts still to lose */
    _Atomic int cuts_made;
};

void cutter_start(struct cutter *cutter, int server_port); /* lives until the process ends */
