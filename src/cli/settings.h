/*
 * settings: the configuration and the languages of a command line.
 */
#pragma once
#include "cli/command_line.h"
#include "model/language.h"

/*
 * Loads the configuration, applies --config and --set, and sets the log level.  Afterwards no secret is left in the
 * environment, in the initial stack (shown by /proc/PID/environ) or on the command line.
 * If no languages folder is set and the standard one does not exist, the folder beside the build folder is used.
 */
int settings_load(const struct invocation *invocation, struct config *config, struct error *err);

/* Loads the languages of config->languages and determines which are available. */
int settings_languages(const struct config *config, struct languages *ret, struct error *err);
