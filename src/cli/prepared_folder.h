/*
 * prepared_folder: IMAGES/.prepared/IMAGE, which only `evalx prepare` writes, as root (sandbox/prepared.h).
 * A folder under its final name is complete and never changes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* Creates it with its parents, and locks it against other `evalx prepare` until *ret_folder is closed. */
int prepared_folder_open(const char *images_folder, const char *image, int *ret_folder, struct error *err);

/* True if there is a complete folder of that name. */
bool prepared_folder_has(int folder, const char *name);

/* Unpacks the archive as the folder `name` and replaces an older one.  On error nothing changes. */
int prepared_folder_put(int folder, const char *name, int archive, uint64_t *ret_bytes, struct error *err);

/* Removes the folder of that name. */
void prepared_folder_remove(int folder, const char *name);

/* Removes the folders of earlier states of the language. */
void prepared_folder_remove_old(int folder, struct text id, const char *name);
