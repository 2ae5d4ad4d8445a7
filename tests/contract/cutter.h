/*
 * cutter: a TCP proxy before redis-server that can lose an answer: the request reaches the server and is carried out,
 * then the connection is cut before the answer, or in the middle of it.  New connections go to `server_port` of now.
 */
#pragma once
#include <stdatomic.h>

struct cutter {
    int listen_fd, port;
    _Atomic int server_port;
    _Atomic int cuts; /* answers to scripts still to lose */
    _Atomic int cuts_made;
    _Atomic int kept; /* bytes of such an answer that come through all the same */
};

void cutter_start(struct cutter *cutter, int server_port); /* lives until the process ends */
