/*
 * prepared: files made ahead, once for each language, so that its compiler or runtime starts faster.  Examples are
 * precompiled headers and class-data archives.
 *
 * `evalx prepare` runs the [prepare] script of a language file in a box (languages/README.md).  It keeps what the
 * script leaves in /box as IMAGES/.prepared/IMAGE/ID-FINGERPRINT, owned by root and read-only.  Boxes of the image
 * see it as /prepared/ID-FINGERPRINT.  The fingerprint covers the script, its compile command, environment and
 * setting, and the size and time of each file in `depends`.  An upgraded compiler thus has another fingerprint, for
 * which no folder exists; words with {prepared} are then left out of the commands.  Every language works unprepared.
 */
#pragma once
#include "model/language.h"
#include "model/language_file.h"

struct layers;

#define PREPARED_FINGERPRINT_CHARS 16
#define PREPARED_NAME_BYTES (LANGUAGE_ID_BYTES_MAX + 1 + PREPARED_FINGERPRINT_CHARS + 1)

/* The name of the folder for the current state of the image: "cpp-0123456789abcdef". */
void prepared_name(const struct language *language, const struct layers *layers, char ret[PREPARED_NAME_BYTES]);

/* Sets language->prepared if that folder exists. */
void prepared_find(struct language *language, const struct layers *layers, const char *images_folder,
                   struct arena *arena);

/*
 * language->prepared, or nothing if it is out of date by now.  Only the image "host" is checked again: it changes while
 * a server runs, when packages are upgraded.  Other images are replaced, never changed.
 */
struct text prepared_now(const struct language *language);
