/* cleanup: attributes that release a variable's value at the end of its scope, on every path. */
#pragma once
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

#define auto_close __attribute__((cleanup(cleanup_close)))
#define auto_free __attribute__((cleanup(cleanup_free)))

/* Returns the value and clears the variable, so that the end of the scope does not release it. */
static inline int take_fd(int *fd)
{
    int out = *fd;
    *fd = -1;
    return out;
}
#define take_ptr(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(*(p)) out_ = *(p);                                                                                  \
        *(p) = NULL;                                                                                                   \
        out_;                                                                                                          \
    })
