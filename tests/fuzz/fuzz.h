/*
 * fuzz: what every target shares.  A target is one function that takes bytes; libFuzzer calls it (with clang, when
 * the build is configured with -Dfuzz=true), and replay.c calls it with each file of the target's corpus, as a test.
 */
#pragma once
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"
#include "model/language.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Defaults, and the languages of this source tree; made at the first call. */
const struct config *fuzz_config(void);
const struct languages *fuzz_languages(void);
