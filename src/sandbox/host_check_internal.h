/* host_check_internal: what the files of host_check share: the list of findings, and reading below the place's root. */
#pragma once
#include "sandbox/host_check.h"

struct host_list {
    const struct host_environment *host;
    struct host_finding *findings;
    size_t len;
    unsigned kernel_major, kernel_minor; /* 0.0 where it is not known */
};

/* `remedy` counts only where the state is not HOST_OK. */
__attribute__((format(printf, 5, 6))) void host_tell(struct host_list *list, enum host_state state, const char *name,
                                                     const char *remedy, const char *fmt, ...);

/* The file's beginning, without the last line's end; false where it cannot be read. */
bool host_read(const struct host_list *list, const char *path, char ret[], size_t size);
/* -1 where the file is not there or holds no number; "max" is INT64_MAX. */
int64_t host_number(const struct host_list *list, const char *path);
bool host_exists(const struct host_list *list, const char *path);
/* The line of the file that begins with `start`, what follows it; false where there is none. */
bool host_line(const struct host_list *list, const char *path, const char *start, char ret[], size_t size);

/* Is `word` one of those that blanks, commas or colons separate? */
bool host_has_word(const char *words, const char *word);
bool host_kernel_since(const struct host_list *list, unsigned major, unsigned minor);

/* cgroups and swap; in host_check_cgroup.c. */
void host_check_cgroups(struct host_list *list);
