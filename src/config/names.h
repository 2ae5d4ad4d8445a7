/* names: unknown names of settings, and the one that was probably meant. */
#pragma once
#include "config/config.h"

/* The known key (or, with `of_environment`, environment name) that differs from `name` the least; NULL if none does. */
const char *config_nearest_name(const char *name, bool of_environment);
