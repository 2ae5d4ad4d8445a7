/* listen: opens the socket that a configuration's "ADDR:PORT" names. */
#pragma once
#include <stdint.h>

#include "base/error.h"

/* A listening, non-blocking TCP socket and its port (which the kernel chose if "ADDR:0" was asked for). */
int listen_open(const char *listen, int *ret_fd, uint16_t *ret_port, struct error *err);
