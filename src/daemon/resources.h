/*
 * resources: the descriptors and threads that this process needs, compared with what it may have.
 *
 * The parts that run programs and keep the store open must never fail because clients hold connections.  So what they
 * need is computed from the configuration before anything starts, and HTTP gets the rest.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/* Raises the soft limits of open files and processes to the hard ones.  Call it before the sandbox inherits them. */
void resources_raise_limits(void);

/* Descriptors that all parts but HTTP connections may have open.  `slots` is 0 in a process without a worker. */
uint32_t resources_descriptors(const struct config *config, uint32_t slots);

/*
 * ERROR_SETUP if a limit is too low for the configuration; the message names the number that is needed.  After
 * resources_raise_limits.
 */
int resources_check(const struct config *config, uint32_t slots, struct error *err);
