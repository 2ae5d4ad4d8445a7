/*
 * message: one packet with descriptors over a SOCK_SEQPACKET socket, both directions.
 * Used by both sides, so that the rules about truncated packets and surplus descriptors stand in one place.
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* 0, or -1 with errno.  fds may be NULL when fds_len is 0.  Never raises SIGPIPE. */
int packet_send(int socket, const void *bytes, size_t len, const int fds[], size_t fds_len);

/*
 * Receives one packet of exactly `len` bytes with at most fds_max descriptors (close-on-exec); *ret_fds_len says how
 * many came.  Returns 1, 0 at end of file, -1 with errno (EBADMSG: wrong size or too many descriptors; those that
 * came have been closed).
 */
int packet_receive(int socket, void *bytes, size_t len, int fds[], size_t fds_max, size_t *ret_fds_len, int flags);

/* The same for a packet of len_min to len_max bytes; returns how many came. */
ssize_t packet_receive_some(int socket, void *bytes, size_t len_min, size_t len_max, int fds[], size_t fds_max,
                            size_t *ret_fds_len, int flags);
