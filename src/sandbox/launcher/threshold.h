/*
 * threshold: the little executable that stands in a box, with every wall around it, until the order comes.
 *
 * It is a program of its own because execve takes down the memory of the one that calls it: a copy of the launcher has
 * hundreds of pages to take down, this one a handful.  No libc: one would look at the processor at its start, which in
 * a virtual machine takes longer than all that it does.  It waits at THRESHOLD_LINE for a struct stage_order with the
 * three streams, takes streams and limits, and becomes the program.  What fails is reported as in stage.h.
 */
#pragma once

/* Its descriptors, besides the streams of the slot. */
#define THRESHOLD_LINE 3
#define THRESHOLD_REPORT 4
#define THRESHOLD_PROBE 5 /* takes the program's place where the order says so (SLOT_SELF_TEST) */
#define THRESHOLD_KEPT 3
/* And before it begins: itself, and the line for refused calls. */
#define THRESHOLD_SELF 6
#define THRESHOLD_REFUSALS 7
#define THRESHOLD_FDS_END 8

/* A descriptor of the executable, for execveat; or -1 with errno.  The caller closes it. */
int threshold_open(void);

/* Steps in its reports, for stage_step_name. */
#define THRESHOLD_STEPS 0x100u
enum threshold_step {
    THRESHOLD_TAKE_ORDER = THRESHOLD_STEPS,
    THRESHOLD_STREAMS,
    THRESHOLD_LIMITS,
    THRESHOLD_EXECUTE,
    THRESHOLD_END_
};
