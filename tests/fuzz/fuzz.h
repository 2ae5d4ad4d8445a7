/*
 * fuzz: shared by all targets.  A target is one function that takes bytes.  libFuzzer calls it (with clang, in a build
 * with -Dfuzz=true), and as a test replay.c calls it with each file of the target's corpus.
 */
#pragma once
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/config.h"
#include "model/language.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* The default configuration and the languages of this source tree; made at the first call. */
const struct config *fuzz_config(void);
const struct languages *fuzz_languages(void);
