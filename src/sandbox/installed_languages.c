/* installed_languages: see the header. */
#include "sandbox/installed_languages.h"

#include "sandbox/image_layers.h"
#include "sandbox/prepared.h"

#define CPP_TEMPLATES "EVALX_CPP_TEMPLATES"

static void probe(struct language *language, const char *images_folder, bool cpp_templates, struct arena *arena)
{
    struct layers layers;
    struct error ignored; /* a missing image is no error: the language is listed as not available */

    language->missing = language->prepared = language->layers = (struct text){ 0 };
    language->available = image_layers_open(images_folder, language->image.at, &layers, &ignored) == 0;
    language->prepare_env = NULL;
    if (language->prepare_script.len > 0 && strstr(language->prepare_script.at, CPP_TEMPLATES) != NULL)
        language->prepare_env = cpp_templates ? CPP_TEMPLATES "=1" : CPP_TEMPLATES "=0";
    if (!language->available)
        return;
    for (size_t i = 0; i < language->needs_len && language->available; i++)
        if (!image_layers_have(&layers, language->needs[i].at)) {
            language->available = false;
            language->missing = language->needs[i];
        }
    if (arena_copy(arena, text_of(layers.names), &language->layers, &ignored) < 0)
        language->available = false;
    if (language->available)
        prepared_find(language, &layers, images_folder, arena);
    image_layers_close(&layers);
}

void installed_languages_probe(struct languages *languages, const char *images_folder, bool cpp_templates)
{
    for (size_t i = 0; i < languages->len; i++)
        probe(&languages->list[i], images_folder, cpp_templates, &languages->arena);
}
