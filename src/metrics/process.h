/* process: the kernel's figures about this process, under the names that Prometheus' own client libraries use. */
#pragma once
#include "base/buf.h"

/* Appends them to *out.  Linux only; a value that cannot be read is omitted. */
int process_write(struct buf *out, struct error *err);
