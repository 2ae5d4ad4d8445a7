/*
 * api: the routes of the HTTP interface (docs/guide/API.md), over a store.
 */
#pragma once
#include "http/server.h"
#include "model/language.h"
#include "queue/queue.h"

struct api;

/* Arguments are borrowed until api_stop.  Opens a desk, starts the server; api_changed must be wired to store_watch. */
int api_start(const struct config *config, const struct languages *languages, struct store *store, struct api **ret,
              struct error *err);
uint16_t api_port(const struct api *api);
/* What store_watch told; wakes ?wait= and /ws.  Any thread, returns at once. */
void api_changed(struct api *api, const char token[TOKEN_BYTES], enum submission_state state);
/* What store_watch_results told, likewise. */
void api_ended(struct api *api, const char token[TOKEN_BYTES], const struct store_view *end);
/* See server_answers. */
bool api_answers(struct api *api, uint32_t wait_ms);
/* Drains until deadline_us (clock_mono_us) at the latest, then stops and frees.  NULL is fine. */
void api_stop(struct api *api, uint64_t deadline_us);
