/* redis_tls: OpenSSL on our own socket; see redis/tls.h. */
#include "queue/redis/tls.h"

#ifdef EVALX_OPENSSL

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

struct redis_trust {
    SSL_CTX *context;
    BIO_METHOD *method;
};

struct redis_tls {
    SSL *ssl;
};

/* The reason OpenSSL gives.  Empties the error queue, which belongs to the thread. */
static const char *openssl_reason(void)
{
    unsigned long code = ERR_get_error();
    const char *words = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    /* OpenSSL's reason when a server without TLS took our handshake for a command. */
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
        return "it does not speak TLS on this port";
    return words != NULL ? words : "the connection ended";
}

/* ---- I/O: our own BIO, because OpenSSL's raises SIGPIPE ---- */

static int bio_result(BIO *bio, ssize_t len)
{
    BIO_clear_retry_flags(bio);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_flags(bio, BIO_FLAGS_SHOULD_RETRY);
    return (int)len;
}

static int *bio_fd(BIO *bio)
{
    return BIO_get_data(bio);
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
    ssize_t sent = send(*bio_fd(bio), bytes, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    int result = bio_result(bio, sent);
    if (BIO_should_retry(bio))
        BIO_set_retry_write(bio);
    return result;
}

static int bio_read(BIO *bio, char *bytes, int len)
{
    ssize_t got = recv(*bio_fd(bio), bytes, (size_t)len, MSG_DONTWAIT);
    int result = bio_result(bio, got);
    if (BIO_should_retry(bio))
        BIO_set_retry_read(bio);
    return result;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* nothing is buffered */
}

static int bio_free(BIO *bio)
{
    free(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    return 1;
}

/* ---- trust ---- */

void redis_trust_close(struct redis_trust *trust)
{
    if (trust == NULL)
        return;
    SSL_CTX_free(trust->context);
    BIO_meth_free(trust->method);
    free(trust);
}

int redis_trust_open(const char *ca_file, struct redis_trust **ret, struct error *err)
{
    if (ca_file[0] != '\0' && access(ca_file, R_OK) < 0) /* OpenSSL's message does not contain the reason */
        return error_set(err, ERROR_SETUP, errno, "open store: read the CA certificates in %s", ca_file);
    struct redis_trust *trust = calloc(1, sizeof *trust);
    if (trust == NULL)
        return error_set(err, ERROR_SETUP, ENOMEM, "open store: TLS");
    trust->context = SSL_CTX_new(TLS_client_method());
    trust->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "evalx socket");
    if (trust->context == NULL || trust->method == NULL ||
        SSL_CTX_set_min_proto_version(trust->context, TLS1_2_VERSION) != 1 ||
        BIO_meth_set_write(trust->method, bio_write) != 1 || BIO_meth_set_read(trust->method, bio_read) != 1 ||
        BIO_meth_set_ctrl(trust->method, bio_control) != 1 || BIO_meth_set_destroy(trust->method, bio_free) != 1) {
        (void)error_set(err, ERROR_SETUP, 0, "open store: TLS: %s", openssl_reason());
        redis_trust_close(trust);
        return -1;
    }
    SSL_CTX_set_verify(trust->context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_mode(trust->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_options(trust->context, SSL_OP_NO_RENEGOTIATION);
    int loaded = ca_file[0] != '\0' ? SSL_CTX_load_verify_locations(trust->context, ca_file, NULL)
                                    : SSL_CTX_set_default_verify_paths(trust->context);
    if (loaded != 1) {
        (void)error_set(err, ERROR_SETUP, 0, "open store: read the CA certificates in %s: %s",
                        ca_file[0] != '\0' ? ca_file : "the folder of the system", openssl_reason());
        redis_trust_close(trust);
        return -1;
    }
    *ret = trust;
    return 0;
}

/* ---- a connection ---- */

void redis_tls_close(struct redis_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    free(tls);
}

/* Sets the name or address that the certificate must match. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static SSL *new_ssl(const struct redis_trust *trust, int fd, const char *host)
{
    SSL *ssl = SSL_new(trust->context);
    BIO *bio = BIO_new(trust->method);
    int *kept_fd = malloc(sizeof *kept_fd);
    if (ssl == NULL || bio == NULL || kept_fd == NULL) {
        free(kept_fd);
        (void)BIO_free(bio);
        SSL_free(ssl);
        return NULL;
    }
    *kept_fd = fd;
    BIO_set_data(bio, kept_fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio); /* takes over the BIO */
    if (!expect_host(ssl, host)) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static int do_handshake(SSL *ssl, int fd, const char *host, uint64_t deadline_ms, struct error *err)
{
    while (true) {
        ERR_clear_error();
        int result = SSL_connect(ssl);
        if (result == 1)
            return 0;
        int reason = SSL_get_error(ssl, result);
        long verified = SSL_get_verify_result(ssl);
        if (verified != X509_V_OK) {
            ERR_clear_error();
            return error_set(err, ERROR_STORE, 0, "Redis: TLS: the certificate of %s is rejected: %s", host,
                             X509_verify_cert_error_string(verified));
        }
        if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)
            return error_set(err, ERROR_STORE, 0, "Redis: TLS with %s: %s", host, openssl_reason());
        struct pollfd ready = { .fd = fd, .events = reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT };
        uint64_t now = clock_mono_us() / 1000;
        /* A Redis without TLS takes our handshake for half a command and waits for the rest. */
        if (now >= deadline_ms || poll(&ready, 1, (int)(deadline_ms - now)) == 0)
            return error_set(err, ERROR_STORE, 0, "Redis: TLS with %s: no answer; is this the TLS port?", host);
    }
}

int redis_tls_open(const struct redis_trust *trust, int fd, const char *host, uint64_t deadline_ms,
                   struct redis_tls **ret, struct error *err)
{
    struct redis_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return error_set(err, ERROR_STORE, ENOMEM, "Redis: TLS");
    tls->ssl = new_ssl(trust, fd, host);
    if (tls->ssl == NULL) {
        (void)error_set(err, ERROR_STORE, 0, "Redis: TLS: %s", openssl_reason());
        redis_tls_close(tls);
        return -1;
    }
    if (do_handshake(tls->ssl, fd, host, deadline_ms, err) < 0) {
        redis_tls_close(tls);
        return -1;
    }
    *ret = tls;
    return 0;
}

/* The result of a call that transferred nothing. */
static ssize_t no_bytes(struct redis_tls *tls, int result)
{
    int os = errno;
    int reason = SSL_get_error(tls->ssl, result);
    ERR_clear_error();
    if (reason == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? EAGAIN
            : reason == SSL_ERROR_SYSCALL && os != 0 && os != EAGAIN        ? os
                                                                            : ECONNRESET;
    return -1;
}

ssize_t redis_tls_receive(struct redis_tls *tls, void *bytes, size_t len)
{
    size_t got = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(tls->ssl, bytes, len, &got);
    return result == 1 ? (ssize_t)got : no_bytes(tls, result);
}

ssize_t redis_tls_send(struct redis_tls *tls, const void *bytes, size_t len)
{
    size_t sent = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(tls->ssl, bytes, len, &sent);
    return result == 1 ? (ssize_t)sent : no_bytes(tls, result);
}

#else

#include <stdlib.h>

int redis_trust_open(const char *ca_file, struct redis_trust **ret, struct error *err)
{
    (void)ca_file;
    (void)ret;
    return error_set(err, ERROR_SETUP, 0,
                     "store: this evalx is built without TLS for Redis (rediss://); build it with libssl-dev, or "
                     "run stunnel and name its address with redis://");
}

void redis_trust_close(struct redis_trust *trust)
{
    (void)trust;
}

/* Never called: without a redis_trust there is no TLS connection. */
int redis_tls_open(const struct redis_trust *trust, int fd, const char *host, uint64_t deadline_ms,
                   struct redis_tls **ret, struct error *err)
{
    (void)trust;
    (void)fd;
    (void)host;
    (void)deadline_ms;
    (void)ret;
    return error_set(err, ERROR_BUG, 0, "TLS is not built in");
}

void redis_tls_close(struct redis_tls *tls)
{
    (void)tls;
}

ssize_t redis_tls_receive(struct redis_tls *tls, void *bytes, size_t len)
{
    (void)tls;
    (void)bytes;
    (void)len;
    abort();
}

ssize_t redis_tls_send(struct redis_tls *tls, const void *bytes, size_t len)
{
    (void)tls;
    (void)bytes;
    (void)len;
    abort();
}

#endif
