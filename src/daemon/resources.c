/* resources: see the header. */
#include "daemon/resources.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "run/run.h"

/* Each number is what the part has open at most, rounded up; tests/integration/test_resources.py compares. */
#define FILES_BASE 48u      /* streams, listening sockets, epoll and event descriptors, journal, look-ups */
#define FILES_SQLITE 32u    /* a writer and four readers with their logs, the lock, a check, temporary files */
#define FILES_REDIS 24u     /* connections to one server: pool, claims, watch */
#define FILES_WORKER 96u    /* artifacts in memory, files of the cache */
#define FILES_SLOT 48u      /* its sockets and streams, and the archives of the jobs that it may run and fetch ahead */
#define CONNECTIONS_MIN 40u /* with fewer an API could serve no client */
#define THREADS_BASE 32u    /* daemon/threads.h, without executors */
#define THREADS_REDIS 3u    /* for each server */
#define FILES_OF_A_PROGRAM 1024u /* the limit that programs have; with less, a program could fail on this host only */

static uint32_t redis_servers(const struct config *config)
{
    uint32_t servers = 1;

    for (const char *at = config->store; *at != '\0'; at++)
        servers += *at == ',';
    return config_uses_redis(config) ? servers : 0;
}

void resources_raise_limits(void)
{
    static const __rlimit_resource_t raised[] = { RLIMIT_NOFILE, RLIMIT_NPROC };
    struct rlimit limit;

    for (size_t i = 0; i < sizeof raised / sizeof *raised; i++)
        if (getrlimit(raised[i], &limit) == 0 && limit.rlim_cur != limit.rlim_max) {
            limit.rlim_cur = limit.rlim_max;
            (void)setrlimit(raised[i], &limit);
        }
}

uint32_t resources_descriptors(const struct config *config, uint32_t slots)
{
    uint32_t servers = redis_servers(config);

    return FILES_BASE + (servers > 0 ? servers * FILES_REDIS : FILES_SQLITE) +
           (slots > 0 ? FILES_WORKER + slots * FILES_SLOT : 0);
}

int resources_check(const struct config *config, uint32_t slots, struct error *err)
{
    struct rlimit files, processes;
    uint64_t files_needed = resources_descriptors(config, slots) + CONNECTIONS_MIN;
    uint64_t threads_needed = THREADS_BASE + slots + redis_servers(config) * THREADS_REDIS;

    if (slots > 0 && files_needed < FILES_OF_A_PROGRAM)
        files_needed = FILES_OF_A_PROGRAM;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files_needed)
        return error_set(err, ERROR_SETUP, 0,
                         "the limit of open files is %" PRIu64 ", and with %" PRIu32 " slots at least %" PRIu64
                         " are needed: raise it (ulimit -Hn %" PRIu64 ", or LimitNOFILE=%" PRIu64 " in the unit)",
                         (uint64_t)files.rlim_cur, slots, files_needed, files_needed, files_needed);
    if (getrlimit(RLIMIT_NPROC, &processes) == 0 && processes.rlim_cur < threads_needed)
        return error_set(err, ERROR_SETUP, 0,
                         "the limit of processes is %" PRIu64 ", and at least %" PRIu64
                         " threads are needed: raise it (ulimit -Hu %" PRIu64 ", or LimitNPROC=%" PRIu64
                         " in the unit)",
                         (uint64_t)processes.rlim_cur, threads_needed, threads_needed, threads_needed);
    return 0;
}
