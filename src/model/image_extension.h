/*
 * image_extension: images that add an operator's own packages to another image (docs/IMAGES.md).
 *
 * IMAGES/NAME.extension describes the image NAME by the keys of a language file's section [image].  Its key `on` names
 * the extended image:
 *
 *   [image]
 *   on = python-3.13
 *   pypi = networkx==3.4.2
 *
 * Each language version that runs in the extended image gets a variant: python-3.13@NAME is python-3.13 in the image
 * NAME.  A variant is a language like any other, with an availability, a queue and a self-test of its own.  Requests
 * choose it by their field "image".
 */
#pragma once
#include "model/language.h"

#define IMAGE_EXTENSION_SUFFIX ".extension"
#define IMAGE_EXTENSION_BYTES_MAX 31 /* of its name */

/* True for 1 to 31 characters a-z 0-9 . _ - that begin with a letter, except "host". */
bool image_extension_name_is_valid(struct text name);

/* Whether a list of names contains the name: "a,b", or "*" for all. */
bool image_list_has(struct text list, struct text name);
/* True for "", "*", and valid names separated by commas. */
bool image_list_is_valid(struct text list);

/*
 * Appends the variants of all *.extension files in the folder to `languages`.  A file with a mistake is logged and
 * left out, because it must not stop the languages of other people; so is one whose `on` is no language's image.  A
 * folder that cannot be read has no such files.  -1 if memory or the list of languages is full.
 */
int image_extensions_read(const char *images_folder, const struct config *config, struct languages *languages,
                          struct error *err);
