/*
 * announce: the first log line, for operators: where evalx listens, who may use it, what programs can see.
 */
#pragma once
#include "config/config.h"
#include "model/language.h"

#define ANNOUNCE_ACCESS_BYTES 64
#define ANNOUNCE_VIEW_BYTES 640

/* Who may use the API: `keys` is the number of API keys, 0 if none is needed. */
void announce_access(const struct config *config, size_t keys, char ret[ANNOUNCE_ACCESS_BYTES]);

/* "images=... host_folders=... network=...": what programs can see, by the languages that are available. */
void announce_view(const struct languages *languages, char ret[ANNOUNCE_VIEW_BYTES]);

/* Logs one warning where everyone on the network can run programs. */
void announce_risk(const struct config *config, const char *address, size_t keys);
