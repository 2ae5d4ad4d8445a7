/*
 * hostile_line: a worker's end of the lines to launcher and slot 0, without any of a worker's manners.
 *
 * `request` is filled by good_request and may be spoilt before it is sent; `reply` is the last answer.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox_internal.h"

#define ANSWER_MS 30000

extern struct sandbox *sandbox;
extern int line; /* to slot 0 */
extern struct slot_request request;
extern struct slot_reply reply;
extern uint32_t runs; /* the number of the last run */

int hostile_start(void **state);
int hostile_stop(void **state);

/* All of these fail the test where they cannot do what they say. */
int open_line(uint32_t slot);
/* A request nothing is wrong with: a program and one argument (or NULL). */
void good_request(const char *program, const char *argument);
void send_request(const int fds[], size_t len);
int null_fd(void);
/* Waits for the answer to run `number`; others on the way are of earlier messages. */
void await(uint32_t number);
void run_with_null(void);
void expect_still_good(void);
void expect_refused(const char *why);
