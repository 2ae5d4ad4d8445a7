/*
 * prepared_folder: IMAGES/.prepared/IMAGE, written by `evalx prepare` alone, as root (sandbox/prepared.h).  What is in it
 * under its name is whole and never changes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* Makes it with what is missing above it, and locks it until *ret_folder is closed: one prepares at a time. */
int prepared_folder_open(const char *images_folder, const char *image, int *ret_folder, struct error *err);

/* Is there one of that name, and so a whole one? */
bool prepared_folder_has(int folder, const char *name);

/* The bundle's files as the folder `name`, in place of one that is there; all of them or nothing. */
int prepared_folder_put(int folder, const char *name, int archive, uint64_t *ret_bytes, struct error *err);

/* Removes what an earlier state of the language left, and what was never finished. */
void prepared_folder_sweep(int folder, struct text id, const char *name);
