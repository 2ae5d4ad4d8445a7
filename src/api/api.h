/*
 * api: the HTTP interface (docs/guide/API.md) over a store.
 */
#pragma once
#include "api/api_keys.h"
#include "api/health.h"
#include "http/server.h"
#include "model/language.h"
#include "queue/queue.h"

struct api;

/*
 * Starts the server.  The arguments are borrowed until api_stop; without api_keys, no key is needed.  /readyz also asks
 * `worker_check`.  The caller must forward the store's change feed (store_watch, store_watch_results) to api_changed,
 * which wakes ?wait= and /ws, and to api_ended, which delivers the result to ?wait=.
 */
int api_start(const struct config *config, const struct languages *languages, struct store *store,
              const struct api_keys *api_keys, const struct worker_check *worker_check, struct api **ret,
              struct error *err);
uint16_t api_port(const struct api *api);
/* Any thread; both return at once. */
void api_changed(struct api *api, const char token[TOKEN_BYTES], enum submission_state state);
void api_ended(struct api *api, const char token[TOKEN_BYTES], const struct store_view *end);
/* See server_is_responsive. */
bool api_is_responsive(struct api *api, uint32_t wait_ms);
/* Drains until `deadline_us` (clock_mono_us), then stops.  NULL is fine. */
void api_stop(struct api *api, uint64_t deadline_us);
