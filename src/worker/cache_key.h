/*
 * cache_key: the keys of the artifact cache and the result cache.
 *
 * A key is the SHA-256 of every input that can change the cached value.  Equal keys mean equal values, so an input
 * that is left out here would hand one client's artifact to another client's different program.
 *
 * A key also contains the scope of the cache, because a hit, and even its duration, reveals that somebody has sent the
 * same program before.  The scope is the client; or one that is common to all clients with share_cache (api_keys.h).
 */
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "base/hash.h"
#include "model/submission.h"
#include "sandbox/sandbox.h"
#include "worker/step_command.h"

/* The key of what the compiler (step_command_compile) makes of the program. */
void cache_key_artifact(const struct submission *submission, const struct program *program,
                        const struct step_command *compiler, char ret_key[HASH_HEX_BYTES]);

/* The key of the outcome of `request`: how its program was compiled, and the request itself. */
int cache_key_result(const struct submission *submission, const struct program *program,
                     const struct run_request *request, struct arena *arena, char ret_key[HASH_HEX_BYTES],
                     struct error *err);
