/*
 * threshold: the little executable that stands in a box, with every wall around it, until the order comes.
 *
 * It is a program of its own because execve takes down the memory of the one that calls it: a copy of the launcher has
 * hundreds of pages to take down, this one a handful.  No libc: one would look at the processor at its start, which in
 * a virtual machine takes longer than all that it does.  It waits at EXEC_STUB_SOCKET for a struct exec_request with the
 * three streams, takes streams and limits, and becomes the program.  What fails is reported as in stage.h.
 */
#pragma once

/* Its descriptors, besides the streams of the slot. */
#define EXEC_STUB_SOCKET 3
#define EXEC_STUB_REPORT 4
#define EXEC_STUB_PROBE 5 /* takes the program's place where the order says so (SLOT_SELF_TEST) */
#define EXEC_STUB_KEPT 3
/* And before it begins: itself, and the line for refused calls. */
#define EXEC_STUB_SELF 6
#define EXEC_STUB_NOTIFY 7
#define EXEC_STUB_FDS_END 8

/* A descriptor of the executable, for execveat; or -1 with errno.  The caller closes it. */
int exec_stub_open(void);

/* Steps in its reports, for init_step_name. */
#define EXEC_STUB_STEPS 0x100u
enum exec_stub_step {
    EXEC_STUB_TAKE_REQUEST = EXEC_STUB_STEPS,
    EXEC_STUB_STREAMS,
    EXEC_STUB_LIMITS,
    EXEC_STUB_EXECUTE,
    EXEC_STUB_END_
};
