/*
 * config: the settings of this process and the source of each value.
 *
 * Precedence: default < file (EVALX_CONFIG, else /etc/evalx/evalx.conf if it exists) < environment < command line.
 * Settings are read once at start, before threads, and are constant afterwards.  An invalid value is an ERROR_SETUP
 * that names the value, its source and what was expected.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG, CONFIG_SECRET_FILE };

/*
 * One list: X(field, type, environment name, file key, default as text, help).
 * Types: STRING (char[256]), UINT (uint64_t), BOOL (true/false, 1/0, yes/no), SECRET (a STRING never printed).
 * Sizes in the file and environment may end in k, m, g (1024).
 */
#define CONFIG_LIST(X)                                                                                                 \
    X(listen, STRING, "EVALX_LISTEN", "listen", "127.0.0.1:3000",                                                      \
      "address and port of the HTTP API; default with api_keys_file: 0.0.0.0:3000")                                    \
    X(worker_listen, STRING, "EVALX_WORKER_LISTEN", "worker_listen", "",                                               \
      "address and port where a worker serves /healthz and /metrics; empty: none")                                     \
    X(data, STRING, "EVALX_DATA", "data", "/var/lib/evalx", "folder of the SQLite store and the artifact cache")       \
    X(store, STRING, "EVALX_STORE", "store", "",                                                                       \
      "the queue: redis://[user@]host[:port][/db][,...] or sqlite:FILE; empty: see redis_host")                        \
    X(redis_host, STRING, "REDIS_HOST", "redis_host", "", "host of the Redis store; empty: SQLite in the data folder") \
    X(redis_port, UINT, "REDIS_PORT", "redis_port", "6379", "port of the Redis store")                                 \
    X(redis_password, SECRET, "REDIS_PASSWORD", "redis_password", "", "password of the Redis store")                   \
    X(redis_password_file, STRING, "EVALX_REDIS_PASSWORD_FILE", "redis_password_file", "",                             \
      "file with the Redis password; empty: the systemd credential redis-password, if any")                            \
    X(redis_ca, STRING, "EVALX_REDIS_CA", "redis_ca", "",                                                              \
      "file of CA certificates (PEM) for rediss://; empty: those of the system")                                       \
    X(redis_prefix, STRING, "EVALX_REDIS_PREFIX", "redis_prefix", "evalx", "prefix of all Redis keys")                 \
    X(languages, STRING, "EVALX_LANGUAGES", "languages", "/etc/evalx/languages", "folder of the language files")       \
    X(images, STRING, "EVALX_IMAGES", "images", "/opt/evalx/chroots", "folder of the language images")                 \
    X(slots, UINT, "EVALX_SLOTS", "slots", "0", "programs that run at the same time; 0: one per processor")            \
    X(user, STRING, "EVALX_USER", "user", "evalx",                                                                     \
      "user to run as after dropping root; without the default user, a user ID that has no account")                   \
    X(uid_base, UINT, "EVALX_UID_BASE", "uid_base", "2000000000", "first of the user IDs that programs run as")        \
    X(requests_max, UINT, "MAX_REQUESTS", "max_requests", "100", "maximum elements of a batch")                        \
    X(body_bytes_max, UINT, "EVALX_MAX_BODY_BYTES", "max_body_bytes", "16m", "maximum size of a request body")         \
    X(bodies_bytes_max, UINT, "EVALX_BODIES_BYTES", "bodies_bytes", "0",                                               \
      "maximum memory of all request bodies until they are stored (0: an eighth of the memory, at most 256m)")         \
    X(answers_bytes_max, UINT, "EVALX_ANSWERS_BYTES", "answers_bytes", "0",                                            \
      "maximum memory of all responses being sent (0: an eighth of the memory, at most 256m)")                         \
    X(websocket_bytes_max, UINT, "EVALX_WEBSOCKET_BYTES", "websocket_bytes", "0",                                      \
      "maximum memory of all unsent and half-received WebSocket messages (0: an eighth of the memory, at most 64m)")   \
    X(queue_max, UINT, "EVALX_QUEUE_MAX", "queue_max", "100000",                                                       \
      "maximum waiting submissions; further ones get status 503")                                                      \
    X(queue_bytes, UINT, "EVALX_QUEUE_BYTES", "queue_bytes", "1g",                                                     \
      "maximum bytes of waiting and running submissions; further ones get status 503")                                 \
    X(results_bytes, UINT, "EVALX_RESULTS_BYTES", "results_bytes", "2g",                                               \
      "bytes of stored results at which submissions get status 503 and none is run")                                   \
    X(result_ttl_s, UINT, "RESULT_TTL_SECONDS", "result_ttl_seconds", "3600", "seconds that results are kept")         \
    X(result_ttl_min_s, UINT, "EVALX_RESULT_TTL_MIN_SECONDS", "result_ttl_min_seconds", "60",                          \
      "seconds that a new result is kept while half of results_bytes is in use")                                       \
    X(unserved_s, UINT, "EVALX_UNSERVED_SECONDS", "unserved_seconds", "60",                                            \
      "seconds without a worker for a language until its submissions get status 503 (0: never)")                       \
    X(idempotency_s, UINT, "EVALX_IDEMPOTENCY_SECONDS", "idempotency_seconds", "86400",                                \
      "seconds that an Idempotency-Key is remembered")                                                                 \
    X(api_keys_file, STRING, "EVALX_API_KEYS_FILE", "api_keys_file", "",                                               \
      "file of API keys, one name:sha256[:queued_max[:running_max[:share_cache[:images]]]] per line; empty: none "     \
      "needed")                                                                                                        \
    X(client_queued_max, UINT, "EVALX_CLIENT_QUEUED_MAX", "client_queued_max", "0",                                    \
      "maximum waiting submissions per API key, further ones get status 429 (0: unlimited)")                           \
    X(client_running_max, UINT, "EVALX_CLIENT_RUNNING_MAX", "client_running_max", "0",                                 \
      "maximum submissions per API key that run or are next in a queue (0: unlimited)")                                \
    X(client_queue_bytes, UINT, "EVALX_CLIENT_QUEUE_BYTES", "client_queue_bytes", "256m",                              \
      "maximum bytes per API key of waiting and running submissions, then status 429 (0: unlimited)")                  \
    X(client_results_bytes, UINT, "EVALX_CLIENT_RESULTS_BYTES", "client_results_bytes", "512m",                        \
      "bytes per API key of stored results at which submissions get status 429 (0: unlimited)")                        \
    X(lease_ms, UINT, "EVALX_LEASE_MS", "lease_ms", "15000",                                                           \
      "milliseconds without a heartbeat after which a worker loses its submissions")                                   \
    X(attempts_max, UINT, "EVALX_ATTEMPTS_MAX", "attempts_max", "2",                                                   \
      "workers that may die while they hold a submission, before it fails; after the first it runs alone")             \
    X(returns_max, UINT, "EVALX_RETURNS_MAX", "returns_max", "8",                                                      \
      "attempts that may fail because of a worker's host, before the submission fails")                                \
    X(sandbox_exit_s, UINT, "EVALX_SANDBOX_EXIT_SECONDS", "sandbox_exit_seconds", "120",                               \
      "seconds without a slot that passes the self-test, after which a worker exits to be restarted")                  \
    X(drain_s, UINT, "EVALX_DRAIN_SECONDS", "drain_seconds", "60",                                                     \
      "maximum seconds that a stop waits for requests and running submissions")                                        \
    X(wait_s_max, UINT, "EVALX_WAIT_MAX_SECONDS", "wait_max_seconds", "60", "largest ?wait= accepted")                 \
    X(connections_max, UINT, "EVALX_CONNECTIONS_MAX", "connections_max", "10000", "maximum HTTP connections")          \
    X(connections_ip_max, UINT, "EVALX_CONNECTIONS_PER_IP", "connections_per_ip", "0",                                 \
      "maximum HTTP connections per address (0: three quarters of connections_max)")                                   \
    X(request_deadline_s, UINT, "EVALX_REQUEST_DEADLINE_SECONDS", "request_deadline_seconds", "30",                    \
      "seconds within which a request must arrive completely")                                                         \
    X(cache_bytes_max, UINT, "EVALX_CACHE_BYTES", "cache_bytes", "1g", "maximum size of the artifact cache")           \
    X(artifact_bytes_max, UINT, "EVALX_ARTIFACT_BYTES", "artifact_bytes", "64m",                                       \
      "maximum size of one compiled program")                                                                          \
    X(artifacts_job_max, UINT, "EVALX_SUBMISSION_ARTIFACT_BYTES", "submission_artifact_bytes", "256m",                 \
      "maximum size of the compiled programs of one submission together")                                              \
    X(artifacts_memory_max, UINT, "EVALX_ARTIFACT_MEMORY_BYTES", "artifact_memory_bytes", "128m",                      \
      "compiled programs of running submissions in memory; further ones are on the disk")                              \
    X(artifacts_disk_max, UINT, "EVALX_ARTIFACT_DISK_BYTES", "artifact_disk_bytes", "2g",                              \
      "compiled programs of running submissions on the disk")                                                          \
    X(share_bytes_max, UINT, "EVALX_SHARE_BYTES", "share_bytes", "0",                                                  \
      "maximum memory in Redis (in each, if several) for compiled programs that workers share; 0: none")               \
    X(result_cache_bytes, UINT, "EVALX_RESULT_CACHE_BYTES", "result_cache_bytes", "32m",                               \
      "maximum memory for results of submissions with \"cache\": true; 0: none")                                       \
    X(result_cache_s, UINT, "EVALX_RESULT_CACHE_SECONDS", "result_cache_seconds", "3600",                              \
      "seconds that cached results are kept")                                                                          \
    X(disk_bytes, UINT, "EVALX_DISK_BYTES", "disk_bytes", "256m", "maximum size of a run's writable folders together") \
    X(cpu_ms_max, UINT, "EVALX_CPU_MS_MAX", "cpu_ms_max", "60000", "upper bound of limits.cpu_time_ms")                \
    X(wall_ms_max, UINT, "EVALX_WALL_MS_MAX", "wall_ms_max", "120000", "upper bound of limits.wall_time_ms")           \
    X(memory_bytes_max, UINT, "EVALX_MEMORY_BYTES_MAX", "memory_bytes_max", "2g",                                      \
      "upper bound of limits.memory_bytes")                                                                            \
    X(processes_max, UINT, "EVALX_PROCESSES_MAX", "processes_max", "256", "upper bound of limits.processes")           \
    X(output_bytes_max, UINT, "EVALX_OUTPUT_BYTES_MAX", "output_bytes_max", "16m",                                     \
      "upper bound of limits.output_bytes")                                                                            \
    X(cors_origin, STRING, "EVALX_CORS_ORIGIN", "cors_origin", "",                                                     \
      "Access-Control-Allow-Origin, an origin or *; empty: no CORS headers")                                           \
    X(host_names, STRING, "EVALX_HOST_NAMES", "host_names", "",                                                        \
      "names, separated by commas, that Host may have on a loopback address without API keys; *: any")                 \
    X(insecure_no_cgroup, BOOL, "EVALX_INSECURE_NO_CGROUP", "insecure_no_cgroup", "false",                             \
      "run without cgroup limits; never for untrusted programs")                                                       \
    X(sandbox_backend, STRING, "EVALX_SANDBOX_BACKEND", "sandbox_backend", "native",                                   \
      "implementation of the sandbox: native, or isolate (isolate 2.x)")                                               \
    X(isolate, STRING, "EVALX_ISOLATE", "isolate", "", "path of the isolate command; empty: the one on PATH")          \
    X(denied_syscalls, STRING, "EVALX_DENIED_SYSCALLS", "denied_syscalls", "error",                                    \
      "effect of a denied system call: error (the call fails) or kill (the run ends)")                                 \
    X(prestart, BOOL, "EVALX_PRESTART", "prestart", "true", "start interpreters before their program arrives")         \
    X(pin, BOOL, "EVALX_PIN", "pin", "false", "pin each slot, with its programs, to one processor")                    \
    X(cpp_templates, BOOL, "EVALX_CPP_TEMPLATES", "cpp_templates", "true",                                             \
      "evalx prepare: let g++ instantiate common templates ahead of time")                                             \
    X(log_level, STRING, "EVALX_LOG", "log", "info", "minimum level of log lines: debug, info, warn or error")

#define CONFIG_STRING_BYTES 256

/*
 * Renamed settings: X(old environment name, old file key, new file key).  The old names still work.  Where one source
 * gives both names, the new one wins.
 */
#define CONFIG_ALIASES(X)                                                                                              \
    X("EVALX_WARM", "warm", "prestart")                                                                                \
    X("EVALX_DRIVER", "driver", "sandbox_backend")                                                                     \
    X("EVALX_REFUSED_CALLS", "refused_calls", "denied_syscalls")
#define CONFIG_ALIAS_ONE(env, key, new_key) +1
#define CONFIG_ALIASES_LEN (0 CONFIG_ALIASES(CONFIG_ALIAS_ONE))

struct config {
#define CONFIG_TYPE_STRING(name) char name[CONFIG_STRING_BYTES];
#define CONFIG_TYPE_SECRET(name) char name[CONFIG_STRING_BYTES];
#define CONFIG_TYPE_UINT(name) uint64_t name;
#define CONFIG_TYPE_BOOL(name) bool name;
#define X(field, type, env, key, def, help) CONFIG_TYPE_##type(field) enum config_source field##_source;
    CONFIG_LIST(X)
#undef X
    bool alias_given[CONFIG_ALIASES_LEN];  /* a source used the old name */
    bool alias_in_use[CONFIG_ALIASES_LEN]; /* the value came by the old name */
};

/*
 * Fills the whole struct.  With `file` NULL it reads the file that EVALX_CONFIG names, which must exist, else the
 * standard one if it exists.  An unknown key in the file is an error with file and line, and so is a key that occurs
 * twice, and a file that every user can write to.  An empty environment variable counts as not set.
 */
int config_load(struct config *config, const char *file, struct error *err);

/* Sets one value by its file key, as in "--set listen=127.0.0.1:3000", with the same checks as config_load. */
int config_set(struct config *config, const char *key, const char *value, enum config_source source, struct error *err);

/* Called once all settings are known: fills in the defaults that depend on other settings. */
void config_settle(struct config *config);

/* Logs a warning for each variable EVALX_... of the environment that is neither a setting nor used otherwise. */
void config_warn_unknown(void);

/* Logs a warning for each deprecated name that was used. */
void config_warn_deprecated(const struct config *config);

/*
 * Reads redis_password from redis_password_file, or from the file redis-password in the folder CREDENTIALS_DIRECTORY
 * (systemd's LoadCredential=).  Called once all settings are known, while the process can still read root's files. A
 * redis_password that is set wins.  One newline at the end is ignored.  It is an error if redis_password_file cannot
 * be read; a missing credential or an empty file means no password.
 */
int config_take_secrets(struct config *config, struct error *err);

/* Prints every setting: its key, environment name, default and meaning. */
void config_print_help(FILE *out);

/* Prints one line per value: key, value, source.  Secrets show as "(set)" or "(not set)", passwords in URLs as ***. */
void config_print(const struct config *config, FILE *out);
int config_print_json(const struct config *config, FILE *out); /* -1, without *err: out of memory, or *out failed */

/* Splits "ADDR:PORT", "[ADDR6]:PORT" or ":PORT".  The host is "" for any address. */
int config_split_listen(const char *listen, char ret_host[64], uint16_t *ret_port, struct error *err);

/* True if only programs on this machine can reach the address of `listen`. */
bool config_listens_on_loopback(const struct config *config);

/* True if the store is a Redis, which other processes share; false if it is the SQLite store of this process. */
bool config_uses_redis(const struct config *config);
