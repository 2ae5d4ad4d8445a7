/*
 * json_scan: bounds what a JSON text makes the parser build, before it builds anything.  Pure.
 *
 * A value of two bytes takes about 250 bytes of memory once it is parsed.  So a body of 16 MiB of "{}," would take more
 * than a gigabyte and seconds.  The scan counts in one pass, without allocating memory.  It accepts every text that has
 * no more than the maxima, valid or not: whether it is JSON is for the parser to say.
 */
#pragma once
#include "base/error.h"
#include "base/text.h"

#define JSON_SCAN_DEPTH_MAX 64      /* arrays and objects inside each other */
#define JSON_SCAN_NAMES_MAX 1000    /* names of one object */
#define JSON_SCAN_VALUES_MAX 200000 /* values and names in all; the largest useful request has 120,000 */

/* ERROR_REQUEST with the line and column of the first byte beyond a maximum. */
int json_scan(struct text text, struct error *err);
