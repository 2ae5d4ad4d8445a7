/* listen: opens the listening socket. */
#pragma once
#include <stdint.h>

#include "base/error.h"

/*
 * Opens a non-blocking TCP socket that listens on `host` (a name or an address; "": all addresses) and `port` (0: the
 * kernel chooses).  *ret_port is the actual port.
 */
int listen_open(const char *host, uint16_t port, int *ret_fd, uint16_t *ret_port, struct error *err);
