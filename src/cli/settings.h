/*
 * settings: config and languages as a command line asks for them, with secrets gone from where others could see them.
 */
#pragma once
#include "cli/command_line.h"
#include "model/language.h"

/*
 * Loads the configuration with --config and --set on top, and applies the log level.  Afterwards no secret is left in
 * the environment, in the initial stack (what /proc/PID/environ shows) or in the command line.
 * Where no languages folder is named and the standard one does not exist, the one beside the build folder is taken.
 */
int settings_load(const struct invocation *invocation, struct config *config, struct error *err);

/* The languages of config->languages, probed. */
int settings_languages(const struct config *config, struct languages *ret, struct error *err);
