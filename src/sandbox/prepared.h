/*
 * prepared: what a language made ahead, once, so that its compiler or its runtime starts faster: precompiled headers,
 * class-data archives.
 *
 * `evalx prepare` runs the [prepare] script of a language file in a box (see languages/README.md) and keeps what it
 * leaves in /box as IMAGES/.prepared/IMAGE/ID-FINGERPRINT, root's and read-only for all others.  Boxes of the image
 * see it as /prepared/ID-FINGERPRINT.  The fingerprint says of what the files were made: the script, the compile
 * command that it is told, the environment, and size and time of each file in `depends`.  So a compiler that was
 * upgraded has another fingerprint, there is no such folder, and words with {prepared} are left out of the commands: a
 * language always works unprepared.
 */
#pragma once
#include "model/language.h"
#include "model/language_file.h"

struct layers;

#define PREPARED_FINGERPRINT_CHARS 16
#define PREPARED_NAME_BYTES (LANGUAGE_ID_BYTES_MAX + 1 + PREPARED_FINGERPRINT_CHARS + 1)

/* "cpp-0123456789abcdef", for the image as it is now. */
void prepared_name(const struct language *language, const struct layers *layers, char ret[PREPARED_NAME_BYTES]);

/* Sets language->prepared, if there is such a folder. */
void prepared_find(struct language *language, const struct layers *layers, const char *images_folder,
                   struct arena *arena);

/*
 * language->prepared, or nothing if it is out of date by now.  Only the image "host" is looked at again: it changes
 * under a running server when packages are upgraded; other images are replaced, never changed.
 */
struct text prepared_now(const struct language *language);
