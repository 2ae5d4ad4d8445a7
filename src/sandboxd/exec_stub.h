/*
 * exec_stub: the small executable that waits in a box, with all isolation in place, and then executes the program.
 *
 * It is a program of its own because execve has to take down the memory of its caller.  A copy of the launcher has
 * hundreds of pages, the stub a handful.  It has no libc: libc examines the processor at its start, which takes longer
 * in a virtual machine than everything the stub does.
 *
 * The stub waits at EXEC_STUB_SOCKET for a struct exec_request with the three streams, sets streams and limits, and
 * executes the program.  It reports a failure as init_process.h describes.
 */
#pragma once
#include <stdint.h>

/* The stub's descriptors, besides 0, 1 and 2. */
#define EXEC_STUB_SOCKET 3
#define EXEC_STUB_REPORT 4
#define EXEC_STUB_PROBE 5 /* executed instead of the program if the request has SLOT_SELF_TEST */
#define EXEC_STUB_KEPT 3
/*
 * Descriptors that are open before the stub is executed, and closed by that: itself, and the socket for the listener.
 */
#define EXEC_STUB_SELF 6
#define EXEC_STUB_NOTIFY 7
#define EXEC_STUB_FDS_END 8

/* Opens the stub's executable for execveat.  -1 with errno.  The caller closes it. */
int exec_stub_open(void);

/* Steps in the stub's reports. */
#define EXEC_STUB_STEPS 0x100u
enum exec_stub_step {
    EXEC_STUB_RECEIVE_REQUEST = EXEC_STUB_STEPS,
    EXEC_STUB_STREAMS,
    EXEC_STUB_LIMITS,
    EXEC_STUB_EXECUTE,
    EXEC_STUB_END_
};
const char *exec_stub_step_name(uint32_t step);
