/* self: how the operator calls this program, for messages that name a command. */
#pragma once

/* Call it first, before threads. */
void self_find(void);

/* "evalx" if that is this program on PATH, else the path of this program. */
const char *self_name(void);

/* The same of the tool that builds images: of the clone that this program was built in, else the one on PATH. */
const char *self_images_tool(void);
