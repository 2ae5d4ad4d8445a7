/*
 * language_measure: what a language takes on this machine, for the catalogue.
 *
 * Each program is compiled once.  The time of hello is the median of several runs from request to result, including the
 * box; each starts after the slot has prepared its next box, as on an idle server.
 */
#pragma once
#include "cli/language_test.h"

struct language_measures {
    uint64_t hello_us;
    uint64_t smallest_bytes; /* the smallest memory limit of hello, in steps of 1 MiB */
    uint64_t live_percent;   /* the most live data, of the limit of [live_data]; 0 without that section */
};

/* 0, or -1 with *err if the hello test or [live_data] fails. */
int language_measure(struct local_run *local_run, const struct config *config, const struct language *language,
                     const struct language_tests *language_tests, struct language_measures *ret, struct error *err);

/* Compiles and runs the import of one package; *ret_us is the time of both.  -1 with *err if it fails. */
int language_measure_package(struct local_run *local_run, const struct config *config, const struct language *language,
                             const struct language_test *packages, struct text name, uint64_t *ret_us,
                             struct error *err);
