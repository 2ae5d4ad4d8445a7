/*
 * installed_languages: which of the loaded languages this machine can run.
 *
 * model/language.h only reads language files.  Whether a language's image is installed depends on the images folder,
 * so the process that runs programs looks there once, after it loaded the languages and before it starts threads.
 */
#pragma once
#include "model/language.h"

/*
 * Sets `available`, `missing`, `layers`, `prepared` and `prepare_env` of every language.  A language is available if
 * its image exists and all its `needs` exist in the image.  Strings are allocated in languages->arena.
 * `cpp_templates`, the setting of that name, is passed to [prepare] scripts that read it.
 */
void installed_languages_probe(struct languages *languages, const char *images_folder, bool cpp_templates);
