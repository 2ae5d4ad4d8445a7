/* host_check_internal: shared by the host_check files: the list of findings, and files below the host's root. */
#pragma once
#include "sandbox/host_check.h"

struct host_list {
    const struct host_environment *host;
    struct host_finding *findings;
    size_t len;
    unsigned kernel_major, kernel_minor; /* 0.0 if unknown */
};

/* Appends a finding.  `remedy` is ignored with HOST_OK. */
__attribute__((format(printf, 5, 6))) void host_add(struct host_list *list, enum host_state state, const char *name,
                                                    const char *remedy, const char *fmt, ...);

/* Reads the beginning of the file, without trailing newlines.  False if the file cannot be read. */
bool host_read(const struct host_list *list, const char *path, char ret[], size_t size);
/* -1 if the file is missing or holds no number; the word "max" is returned as INT64_MAX. */
int64_t host_number(const struct host_list *list, const char *path);
bool host_exists(const struct host_list *list, const char *path);
/* Copies the rest of the first line that begins with `start`.  False if there is no such line. */
bool host_line(const struct host_list *list, const char *path, const char *start, char ret[], size_t size);

/* True if `word` is one of `words`, which are separated by blanks, commas or colons. */
bool host_has_word(const char *words, const char *word);
bool host_kernel_since(const struct host_list *list, unsigned major, unsigned minor);

/* The findings about cgroups and swap; in host_check_cgroup.c. */
void host_check_cgroups(struct host_list *list);
