/*
 * redis_tls: TLS under a connection to Redis, by OpenSSL, on a socket that is ours.
 *
 * The server must show a certificate that the trust accepts, valid now, for the very host name (or IP address) that was
 * asked for; there is no way to switch that off.  TLS 1.2 or newer.  Nothing here blocks but the handshake, which ends
 * by its deadline; a peer that is gone is an error, never a SIGPIPE.
 * Built without OpenSSL only redis_trust_open is ever called, and refuses.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct redis_trust; /* which authorities are believed; any thread may use it */
struct redis_tls;   /* one connection */

/* `ca_file` "" is the system's own list. */
int redis_trust_open(const char *ca_file, struct redis_trust **ret, struct error *err);
void redis_trust_close(struct redis_trust *trust); /* NULL is fine */

/* The fd stays the caller's, and must outlive it. */
int redis_tls_open(const struct redis_trust *trust, int fd, const char *host, uint64_t deadline_ms,
                   struct redis_tls **ret, struct error *err);
void redis_tls_close(struct redis_tls *tls); /* NULL is fine */
/* Nothing received is held back from a reader with room for a whole record (16 KiB), so poll on the socket is right. */
/* As recv and send with MSG_DONTWAIT: 0 is the end of the stream; -1 and EAGAIN: wait for the socket. */
ssize_t redis_tls_receive(struct redis_tls *tls, void *bytes, size_t len);
ssize_t redis_tls_send(struct redis_tls *tls, const void *bytes, size_t len);
