/* process: what the kernel tells of this process, under the names Prometheus' own clients use. */
#pragma once
#include "base/buf.h"

/* Linux only; a figure that cannot be read is left out. */
int process_write(struct buf *out, struct error *err);
