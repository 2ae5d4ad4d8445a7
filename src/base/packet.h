/*
 * packet: sends and receives one packet with descriptors (SCM_RIGHTS) over a SOCK_SEQPACKET socket.
 *
 * Truncated packets and surplus descriptors are errors, and no descriptor leaks.
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/* Returns 0, or -1 with errno.  fds may be NULL if fds_len is 0.  Never raises SIGPIPE. */
int packet_send(int socket, const void *bytes, size_t len, const int fds[], size_t fds_len);

/*
 * Receives one packet of exactly `len` bytes with at most fds_max descriptors (close-on-exec).  *ret_fds_len, which may
 * be NULL, is the number of descriptors received.  Returns 1, 0 at end of file, or -1 with errno.  EBADMSG means a
 * wrong size or too many descriptors; the descriptors received have been closed.
 */
int packet_receive(int socket, void *bytes, size_t len, int fds[], size_t fds_max, size_t *ret_fds_len, int flags);

/* The same for a packet of len_min to len_max bytes.  Returns the number of bytes received. */
ssize_t packet_receive_some(int socket, void *bytes, size_t len_min, size_t len_max, int fds[], size_t fds_max,
                            size_t *ret_fds_len, int flags);
