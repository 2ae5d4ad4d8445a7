/*
 * redis_tls: TLS for a connection to Redis, with OpenSSL on our own socket.
 *
 * The server's certificate must be issued by a trusted authority, be valid now, and match the requested host name or IP
 * address; this cannot be disabled.  TLS 1.2 or newer.  Only the handshake blocks, until its deadline.  A lost peer is
 * an error, never a SIGPIPE.  In a build without OpenSSL redis_trust_open fails, and nothing else is called.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct redis_trust; /* the trusted authorities; thread-safe */
struct redis_tls;   /* one connection */

/* `ca_file`: a PEM file; "" for the authorities of the system. */
int redis_trust_open(const char *ca_file, struct redis_trust **ret, struct error *err);
void redis_trust_close(struct redis_trust *trust); /* NULL is allowed */

/* Borrows the fd until redis_tls_close. */
int redis_tls_open(const struct redis_trust *trust, int fd, const char *host, uint64_t deadline_ms,
                   struct redis_tls **ret, struct error *err);
void redis_tls_close(struct redis_tls *tls); /* NULL is allowed */
/*
 * Like recv and send with MSG_DONTWAIT: 0 is the end of the stream; -1 with EAGAIN: wait for the socket.  A reader with
 * room for a whole record (16 KiB) gets everything that was received, so it may poll the socket for more.
 */
ssize_t redis_tls_receive(struct redis_tls *tls, void *bytes, size_t len);
ssize_t redis_tls_send(struct redis_tls *tls, const void *bytes, size_t len);
