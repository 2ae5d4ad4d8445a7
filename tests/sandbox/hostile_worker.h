/*
 * hostile_worker: the worker's ends of the sockets to launcher and slot 0, for tests that send arbitrary messages.
 *
 * good_request fills `request`, which a test may change before it is sent.  `reply` is the last answer.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox_internal.h"

#define ANSWER_MS 30000

extern struct sandbox *sandbox;
extern int slot_socket; /* to slot 0 */
extern struct slot_request request;
extern struct slot_reply reply;
extern uint32_t runs; /* the number of the last run */

int hostile_start(void **state);
int hostile_stop(void **state);

/* All of these fail the test if they cannot do their work. */
int open_slot_socket(uint32_t slot);
/* Makes a valid request: a program and one argument (or NULL). */
void good_request(const char *program, const char *argument);
void send_request(const int fds[], size_t len);
int null_fd(void);
/* Waits for the answer to run `number`, and skips answers to earlier messages. */
void await(uint32_t number);
void run_with_null(void);
void expect_still_good(void);
void expect_refused(const char *why);
/* The descendants of this process: the root side and its boxes. */
unsigned count_descendants(void);
