/* store_fixture: a folder, redis-servers, and helpers for the tests; see the header. */
#include "store_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "queue/shards/token_shard.h"

struct store_fixture store_fixture;
const char *const queues_all[] = { "c", "python", "bash", NULL };

uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void nap_ms(unsigned ms)
{
    struct timespec nap = { ms / 1000, (long)(ms % 1000) * 1000000 };
    (void)nanosleep(&nap, NULL);
}

/* ---- redis-server ---- */

int fixture_free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 || getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        abort();
    (void)close(fd);
    return ntohs(at.sin_port);
}

static redisContext *redis_context(int port)
{
    return redisConnectWithTimeout("127.0.0.1", port, (struct timeval){ .tv_sec = 2 });
}

static bool redis_answers(int on_port)
{
    redisContext *context = redis_context(on_port);
    redisReply *reply = context != NULL && context->err == 0 ? redisCommand(context, "PING") : NULL;
    bool answers = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL)
        freeReplyObject(reply);
    if (context != NULL)
        redisFree(context);
    return answers;
}

pid_t fixture_server_begin(int on_port, const char *const more[])
{
    char port[16], log[32], aof[32];
    /* With everysec a slow disk may delay even the write, and a kill then loses what was acknowledged. */
    const char *args[48] = {
        "redis-server", "--port",        port,     "--bind",          "127.0.0.1", "--save", "", "--appendonly",
        "yes",          "--appendfsync", "always", "--appenddirname", aof
    };
    size_t len = 13;
    for (size_t i = 0; more != NULL && more[i] != NULL && len + 1 < sizeof args / sizeof *args; i++)
        args[len++] = more[i];
    (void)snprintf(port, sizeof port, "%d", on_port);
    (void)snprintf(log, sizeof log, "redis-%d.log", on_port);
    (void)snprintf(aof, sizeof aof, "aof-%d", on_port);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int out = chdir(store_fixture.folder) == 0 ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
        if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
            _exit(1);
        execvp(args[0], (char *const *)args);
        _exit(127);
    }
    return pid;
}

pid_t fixture_server_start(int on_port, const char *const more[])
{
    pid_t pid = fixture_server_begin(on_port, more);
    for (int i = 0; i < 1000 && !redis_answers(on_port); i++)
        nap_ms(10);
    if (!redis_answers(on_port))
        abort();
    return pid;
}

void fixture_server_kill(pid_t *pid)
{
    if (*pid <= 0)
        return;
    (void)kill(*pid, SIGKILL);
    (void)waitpid(*pid, NULL, 0);
    *pid = 0;
}

void fixture_redis_start(void)
{
    store_fixture.redis = fixture_server_start(store_fixture.port, NULL);
}

void fixture_redis_kill(void)
{
    fixture_server_kill(&store_fixture.redis);
}

void fixture_more_start(size_t i)
{
    if (store_fixture.more[i].port == 0)
        store_fixture.more[i].port = fixture_free_port();
    store_fixture.more[i].pid = fixture_server_start(store_fixture.more[i].port, NULL);
}

void fixture_more_kill(size_t i)
{
    fixture_server_kill(&store_fixture.more[i].pid);
}

redisReply *fixture_redis(const char *format, ...)
{
    redisContext *context = redis_context(store_fixture.port);
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(context, format, args);
    va_end(args);
    redisFree(context);
    assert_non_null(reply);
    return reply;
}

static uint64_t calls_of(int port, const char *command)
{
    redisContext *context = redis_context(port);
    redisReply *reply = redisCommand(context, "INFO commandstats");
    assert_non_null(reply);
    char field[64] = ":calls=";
    if (command != NULL)
        (void)snprintf(field, sizeof field, "cmdstat_%s:calls=", command);
    uint64_t calls = 0;
    for (const char *at = strstr(reply->str, field); at != NULL; at = strstr(at + 1, field))
        calls += strtoull(at + strlen(field), NULL, 10);
    freeReplyObject(reply);
    redisFree(context);
    return calls;
}

uint64_t fixture_redis_calls(const char *command)
{
    uint64_t calls = calls_of(store_fixture.port, command);
    for (size_t i = 0; i < FIXTURE_SERVERS - 1; i++)
        if (store_fixture.more[i].pid > 0)
            calls += calls_of(store_fixture.more[i].port, command);
    return calls;
}

/* ---- the fixture ---- */

static bool is_installed(const char *program)
{
    char path[4096];
    const char *folders = getenv("PATH");
    while (folders != NULL && *folders != '\0') {
        size_t len = strcspn(folders, ":");
        (void)snprintf(path, sizeof path, "%.*s/%s", (int)len, folders, program);
        if (access(path, X_OK) == 0)
            return true;
        folders += len + (folders[len] == ':');
    }
    return false;
}

int fixture_start(const char *kind)
{
    store_fixture.is_shards = strcmp(kind, "shards") == 0;
    store_fixture.is_redis = store_fixture.is_shards || strcmp(kind, "redis") == 0;
    if (store_fixture.is_redis && !is_installed("redis-server")) {
        printf("skipped: redis-server is not installed\n");
        return 77;
    }
    const char *folder = getenv("TMPDIR");
    (void)snprintf(store_fixture.folder, sizeof store_fixture.folder, "%s/evalx-contract-XXXXXX",
                   folder != NULL ? folder : "/tmp");
    if (mkdtemp(store_fixture.folder) == NULL) {
        perror(store_fixture.folder);
        return 1;
    }
    if (store_fixture.is_redis) {
        store_fixture.port = fixture_free_port();
        fixture_redis_start();
    }
    if (store_fixture.is_shards)
        fixture_more_start(0);
    return 0;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void fixture_end(void)
{
    fixture_redis_kill();
    for (size_t i = 0; i < FIXTURE_SERVERS - 1; i++)
        fixture_more_kill(i);
    (void)nftw(store_fixture.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int fixture_fresh(void **state)
{
    (void)state;
    struct error err;
    char empty[sizeof store_fixture.folder + 16];
    (void)snprintf(empty, sizeof empty, "%s/empty.conf", store_fixture.folder);
    int fd = open(empty, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) < 0)
        return -1;
    if (config_load(&store_fixture.config, empty, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    store_fixture.tests++;
    store_fixture.config.redis_host[0] = store_fixture.config.redis_password[0] = '\0';
    store_fixture.is_pinned = false;
    if (store_fixture.is_shards)
        (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store,
                       "redis://127.0.0.1:%d,redis://127.0.0.1:%d", store_fixture.port, store_fixture.more[0].port);
    else if (store_fixture.is_redis)
        (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "redis://127.0.0.1:%d",
                       store_fixture.port);
    else
        (void)snprintf(store_fixture.config.store, sizeof store_fixture.config.store, "sqlite:%s/%u/evalx.db",
                       store_fixture.folder, store_fixture.tests);
    (void)snprintf(store_fixture.config.redis_prefix, sizeof store_fixture.config.redis_prefix, "t%u",
                   store_fixture.tests);
    return 0;
}

struct store *fixture_open(void)
{
    struct store *store = NULL;
    must(store_open(&store_fixture.config, &store, &err));
    return store;
}

/* ---- helpers ---- */

struct store_worker worker_named(const char *name)
{
    struct store_worker worker = { .slots = 4, .queues = queues_all };
    (void)snprintf(worker.name, sizeof worker.name, "%s", name);
    return worker;
}

void fixture_name(struct store *store, char ret_token[TOKEN_BYTES])
{
    store_new_token(store, "", ret_token);
    if (store_fixture.is_shards && store_fixture.is_pinned)
        token_set_shard(ret_token, 1);
}

void add_one(struct store *store, const char *queue, enum submission_priority priority, char ret_token[TOKEN_BYTES])
{
    struct store_new entry = { .priority = priority, .payload = TEXT("work") };
    fixture_name(store, entry.token);
    (void)snprintf(entry.queue, sizeof entry.queue, "%s", queue);
    must(store_add(store, &entry, 1, &err));
    if (ret_token != NULL)
        memcpy(ret_token, entry.token, TOKEN_BYTES);
}

bool claim_one(struct store *store, char ret_token[TOKEN_BYTES], uint32_t *ret_attempt)
{
    struct store_worker worker = worker_named("one");
    struct store_claim claim;
    size_t len = 0;
    must(store_claim(store, &worker, 1, 0, &claim, &len, &err));
    if (len == 0)
        return false;
    assert_int_equal(claim.payload.len, 4);
    assert_memory_equal(claim.payload.at, "work", 4);
    if (ret_token != NULL)
        memcpy(ret_token, claim.token, TOKEN_BYTES);
    if (ret_attempt != NULL)
        *ret_attempt = claim.attempt;
    store_claim_done(&claim);
    return true;
}

bool finish_one(struct store *store, const char *token, uint32_t attempt, const char *result)
{
    bool kept = false;
    must(store_finish(store, "one", token, attempt, SUBMISSION_COMPLETED, text_of(result), &kept, &err));
    return kept;
}

enum store_lease_state beat_one(struct store *store, const char *token, uint32_t attempt)
{
    struct store_worker worker = worker_named("one");
    struct store_lease lease = { .attempt = attempt };
    memcpy(lease.token, token, TOKEN_BYTES);
    must(store_heartbeat(store, &worker, &lease, 1, &err));
    return lease.state;
}

struct store_view view_of(struct store *store, const char *token)
{
    struct store_view view = { 0 };
    must(store_get(store, &token, 1, &view, &err));
    return view;
}

void expect_state(struct store *store, const char *token, enum submission_state state, const char *result)
{
    struct store_view view = view_of(store, token);
    assert_true(view.found);
    assert_string_equal(submission_state_name(view.state), submission_state_name(state));
    if (result != NULL)
        assert_string_equal(view.result.at != NULL ? view.result.at : "", result);
    store_view_done(&view);
}

struct queue_depth *depth_of(struct store *store)
{
    struct queue_depth *depth = malloc(sizeof *depth);
    assert_non_null(depth);
    must(store_depth(store, depth, &err));
    return depth;
}

void claim_after_reaping(struct store *store, char ret_token[TOKEN_BYTES], uint32_t *ret_attempt)
{
    uint64_t until = now_ms() + 10000;
    while (now_ms() < until) {
        must(store_reap_expired(store, &err));
        if (claim_one(store, ret_token, ret_attempt))
            return;
        nap_ms(20);
    }
    fail_msg("no lease ran out in 10 s");
}
