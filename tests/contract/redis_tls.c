/*
 * redis_tls: rediss:// with a real redis-server and certificates made by openssl(1): which are accepted, and with which
 * error the others are rejected.
 */
#include "store_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void use(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void use(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(store_fixture.config.store, sizeof store_fixture.config.store, format, args);
    va_end(args);
}

static void open_fails(const char *expected)
{
    struct store *store = NULL;
    struct error err = { 0 };
    uint64_t from = now_ms();
    assert_int_equal(store_open(&store_fixture.config, &store, &err), -1);
    assert_true(now_ms() - from < 5000);
    if (strstr(err.text, expected) == NULL)
        fail_msg("expected \"%s\" in: %s", expected, err.text);
    assert_null(strstr(err.text, "s3cret"));
    print_message("  %s\n", err.text);
}

#ifdef EVALX_OPENSSL

/* Made once: ours.pem and other.pem are authorities; good, old and elsewhere are certificates of ours. */
static void make_certificates(void)
{
    static bool are_made;
    static const char script[] =
        "set -e; cd '%s'\n"
        "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
        "for name in ours other; do\n"
        "  openssl req -x509 $new -keyout $name.key -out $name.pem -days 2 -subj \"/CN=authority $name\"\n"
        "done\n"
        "make() {\n"
        "  openssl req $new -keyout $1.key -out $1.csr -subj /CN=redis\n"
        "  echo \"subjectAltName=$2\" >$1.ext\n"
        "  openssl x509 -req -in $1.csr -CA ours.pem -CAkey ours.key -CAcreateserial -days $3 -extfile $1.ext \\\n"
        "    -out $1.crt\n"
        "}\n"
        "{ make good DNS:localhost,IP:127.0.0.1 2; make elsewhere DNS:redis.example 2\n"
        "  make old DNS:localhost,IP:127.0.0.1 -1; } 2>openssl.log\n";
    char command[sizeof script + sizeof store_fixture.folder];
    if (are_made)
        return;
    (void)snprintf(command, sizeof command, script, store_fixture.folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a fixed script */
    are_made = true;
}

/* A server with TLS on one port and without it on another, which the test uses to inspect the data. */
struct tls_server {
    int port, plain_port;
    pid_t pid;
};

static void server_start(struct tls_server *server, const char *certificate)
{
    char port[16], crt[64], key[64];
    make_certificates();
    if (server->port == 0) {
        server->port = fixture_free_port();
        server->plain_port = fixture_free_port();
    }
    (void)snprintf(port, sizeof port, "%d", server->port);
    (void)snprintf(crt, sizeof crt, "%s.crt", certificate);
    (void)snprintf(key, sizeof key, "%s.key", certificate);
    const char *const more[] = { "--tls-port",
                                 port,
                                 "--tls-cert-file",
                                 crt,
                                 "--tls-key-file",
                                 key,
                                 "--tls-ca-cert-file",
                                 "ours.pem",
                                 "--tls-auth-clients",
                                 "no",
                                 NULL };
    server->pid = fixture_server_start(server->plain_port, more);
}

static void trust(const char *authority)
{
    (void)snprintf(store_fixture.config.redis_ca, sizeof store_fixture.config.redis_ca, "%s/%s", store_fixture.folder,
                   authority);
}

static void plain_do(int port, const char *format, const char *argument)
{
    redisContext *context = redisConnect("127.0.0.1", port);
    redisReply *reply = redisCommand(context, format, argument);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(context);
}

static _Atomic int events;

static void count_event(void *context, const char token[TOKEN_BYTES], enum submission_state state, bool cancelled)
{
    (void)context;
    (void)token;
    (void)state;
    (void)cancelled;
    atomic_fetch_add(&events, 1);
}

struct waiting {
    struct store *store;
    size_t len;
    int result;
};

static void *claim_and_wait(void *context)
{
    struct waiting *waiting = context;
    struct store_worker worker = worker_named("waiting");
    struct store_claim claim;
    struct error err;
    waiting->result = store_claim(waiting->store, &worker, 1, 20000, &claim, &waiting->len, &err);
    if (waiting->result == 0 && waiting->len == 1)
        store_claim_done(&claim);
    return NULL;
}

/* Uses all kinds of connections: calls, a waiting claim, the watcher; and more bytes than a socket buffer holds. */
static void use_it(struct store *store)
{
    enum { LARGE = 3000000 };
    struct waiting waiting = { .store = store };
    struct store_new entry = { .priority = PRIORITY_NORMAL, .queue = "c" };
    pthread_t thread;
    char *large = malloc(LARGE);
    assert_non_null(large);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)('a' + (i * i + i / 7) % 26);
    assert_int_equal(pthread_create(&thread, NULL, claim_and_wait, &waiting), 0);
    nap_ms(100);
    store_new_token(store, "", entry.token);
    entry.payload = (struct text){ large, LARGE };
    must(store_add(store, &entry, 1, &err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiting.len, 1);
    bool kept = false;
    must(store_finish(store, "one", entry.token, 1, SUBMISSION_COMPLETED, entry.payload, &kept, &err));
    assert_true(kept);
    struct store_view view = view_of(store, entry.token);
    assert_int_equal(view.result.len, LARGE);
    assert_memory_equal(view.result.at, large, LARGE);
    store_view_done(&view);
    free(large);
}

static void a_valid_certificate_is_accepted(void **state)
{
    (void)state;
    struct tls_server server = { 0 };
    struct error why = { 0 };
    server_start(&server, "good");
    plain_do(server.plain_port, "ACL SETUSER runner on allkeys allchannels +@all %s", ">s3cret");
    trust("ours.pem");
    use("rediss://runner:wrong@localhost:%d", server.port);
    open_fails("user or password is wrong");
    use("rediss://runner:s3cret@localhost:%d", server.port);
    struct store *store = fixture_open();
    atomic_store(&events, 0);
    must(store_watch(store, count_event, NULL, &err));
    nap_ms(100);
    use_it(store);
    uint64_t until = now_ms() + 5000;
    while (atomic_load(&events) == 0 && now_ms() < until)
        nap_ms(10);
    assert_true(atomic_load(&events) > 0);

    /* Restarted without the user, then with it: the same store is rejected, then accepted. */
    fixture_server_kill(&server.pid);
    assert_int_equal(store_reap_expired(store, &why), -1);
    server_start(&server, "good");
    until = now_ms() + 5000;
    while (store_reap_expired(store, &why) < 0 && strstr(why.text, "user or password is wrong") == NULL &&
           now_ms() < until)
        nap_ms(20);
    assert_non_null(strstr(why.text, "user or password is wrong"));
    plain_do(server.plain_port, "ACL SETUSER runner on allkeys allchannels +@all %s", ">s3cret");
    while (store_reap_expired(store, &why) < 0 && now_ms() < until)
        nap_ms(20);
    use_it(store);
    store_close(store);

    /* By address; and with the system's list, which SSL_CERT_FILE names. */
    store_fixture.config.redis_ca[0] = '\0';
    use("rediss://runner:s3cret@127.0.0.1:%d", server.port);
    open_fails("certificate of 127.0.0.1 is rejected");
    char ours[sizeof store_fixture.folder + 16];
    (void)snprintf(ours, sizeof ours, "%s/ours.pem", store_fixture.folder);
    assert_int_equal(setenv("SSL_CERT_FILE", ours, 1), 0);
    store = fixture_open();
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    use_it(store);
    store_close(store);
    fixture_server_kill(&server.pid);
}

static void an_untrusted_certificate_is_rejected(void **state)
{
    (void)state;
    struct tls_server good = { 0 }, old = { 0 }, elsewhere = { 0 };
    server_start(&good, "good");
    server_start(&old, "old");
    server_start(&elsewhere, "elsewhere");
    const struct {
        const char *authority;
        int port;
        const char *expected;
    } rows[] = {
        { "other.pem", good.port,
          "certificate of localhost is rejected: self-signed certificate in certificate chain" },
        { "ours.pem", elsewhere.port, "certificate of localhost is rejected: hostname mismatch" },
        { "ours.pem", old.port, "certificate of localhost is rejected: certificate has expired" },
        { "ours.pem", good.plain_port, "TLS with localhost: no answer; is this the TLS port?" },
        { "missing.pem", good.port, "missing.pem: No such file or directory" },
        { "good.key", good.port, "read the CA certificates" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        trust(rows[i].authority);
        use("rediss://:s3cret@localhost:%d", rows[i].port);
        open_fails(rows[i].expected);
    }
    trust("ours.pem");
    use("rediss://:s3cret@127.0.0.1:%d", elsewhere.port);
    open_fails("certificate of 127.0.0.1 is rejected: IP address mismatch");
    use("redis://127.0.0.1:%d", good.port); /* without TLS, which the server requires */
    open_fails("Redis");

    /* A server that stops during the handshake. */
    assert_int_equal(kill(good.pid, SIGSTOP), 0);
    use("rediss://localhost:%d", good.port);
    open_fails("TLS with localhost");
    fixture_server_kill(&good.pid);
    fixture_server_kill(&old.pid);
    fixture_server_kill(&elsewhere.pid);
}

static void each_shard_may_use_tls(void **state)
{
    (void)state;
    struct tls_server one = { 0 }, two = { 0 };
    server_start(&one, "good");
    server_start(&two, "good");
    trust("ours.pem");
    use("rediss://localhost:%d,redis://127.0.0.1:%d,rediss://127.0.0.1:%d", one.port, store_fixture.port, two.port);
    struct store *store = fixture_open();
    for (int i = 0; i < 9; i++)
        use_it(store);
    use("rediss://localhost:%d", two.port);
    struct store *last = fixture_open();
    char token[TOKEN_BYTES];
    for (int i = 0; i < 3; i++)
        add_one(store, "c", PRIORITY_NORMAL, token);
    assert_true(claim_one(last, NULL, NULL)); /* one of the three is in the last shard */
    assert_false(claim_one(last, NULL, NULL));
    store_close(last);
    store_close(store);
    fixture_server_kill(&one.pid);
    fixture_server_kill(&two.pid);
}

#else

static void without_openssl_tls_is_refused(void **state)
{
    (void)state;
    use("rediss://:s3cret@localhost:%d", store_fixture.port);
    open_fails("this evalx is built without TLS for Redis (rediss://)");
    use("redis://127.0.0.1:%d,rediss://:s3cret@localhost:%d", store_fixture.port, store_fixture.port);
    open_fails("this evalx is built without TLS for Redis (rediss://)");
}

#endif

const struct CMUnitTest tests_tls[] = {
#ifdef EVALX_OPENSSL
    A_TEST(a_valid_certificate_is_accepted),
    A_TEST(an_untrusted_certificate_is_rejected),
    A_TEST(each_shard_may_use_tls),
#else
    A_TEST(without_openssl_tls_is_refused),
#endif
};
const size_t tests_tls_len = sizeof tests_tls / sizeof *tests_tls;
