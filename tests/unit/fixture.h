/* fixture: default configuration and the languages of this source tree, independent of machine and environment. */
#pragma once
#include "cases.h"
#include "config/config.h"
#include "model/language.h"

/* EVALX_LANGUAGES_FOLDER and EVALX_FIXTURES_FOLDER come from the build. */
static struct config config;
static struct languages languages;

static int set_up(void **state)
{
    (void)state;
    struct error err;

    if (clearenv() != 0 || config_load(&config, EVALX_FIXTURES_FOLDER "/defaults.conf", &err) < 0 ||
        languages_load(EVALX_LANGUAGES_FOLDER, &config, &languages, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    languages_done(&languages);
    return 0;
}
