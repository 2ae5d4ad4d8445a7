/* fuzz: the configuration and the languages all targets run with. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

static struct config config;
static struct languages languages;

static void make(void)
{
    static bool is_made;
    struct error err;

    if (is_made)
        return;
    is_made = true;
    if (clearenv() != 0 || config_load(&config, EVALX_FIXTURES_FOLDER "/defaults.conf", &err) < 0 ||
        languages_load(EVALX_LANGUAGES_FOLDER, &config, &languages, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

const struct config *fuzz_config(void)
{
    make();
    return &config;
}

const struct languages *fuzz_languages(void)
{
    make();
    return &languages;
}
