/* scope: values that are given back when their scope ends, on every path out. */
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

/* Hands the value over and leaves the "nothing" behind, so the scope keeps off it. */
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
