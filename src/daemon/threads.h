/*
 * threads: all threads of evalx, by their names in `ps -L`.  This is documentation, included by no file.  The test
 * tests/integration/test_threads.py checks it against running processes and the sources.
 *
 * The columns server, api and worker have the number of threads in `evalx` without Redis, in an API server with Redis
 * and in `evalx worker`.  "slots" is one per sandbox slot.  A question mark means that the thread is temporary or
 * depends on the configuration.
 *
 *   name             server  api  worker  file                     role
 *   ---------------  ------  ---  ------  -----------------------  --------------------------------------------------
 *   evalx            1       1    1       daemon/daemon.c          main: start, watchdog, stop signals, drain
 *   http             1       1    1?      http/server.c            parses requests, calls handlers, never blocks
 *   http-deadline    1       1    1?      http/connections.c       ends connections that exceed a deadline
 *   websocket        1       1    -       http/websocket.c         all WebSocket connections
 *   decode           2       2    -       api/decode_threads.c     decodes large request bodies
 *   large-results    1       1    -       api/large_results.c      reads large results, one after the other
 *   long-poll        1       1    -       api/long_poll.c          responds to ?wait= requests
 *   depth-cache      1       1    -       api/depth_cache.c        reads the queue depth for /readyz and /metrics
 *   store-write      1       1    -       queue/async_store.c      blocking calls that change the store
 *   store-read       1       1    -       queue/async_store.c      blocking calls that read the store
 *   sqlite-watch     1       -    -       queue/sqlite/watch.c     reports changes in SQLite to the watch
 *   redis-watch      -       1    1       queue/redis/watch.c      reports changes in Redis to the watch; 1 per Redis
 *   dns              -       1?   1?      queue/redis/resolver.c   one lookup of a host name, which may block
 *   shard-probe      -       1?   1?      queue/shards/shards.c    checks the Redis servers, if there are several
 *   fetcher          1       -    1       worker/fetcher.c         claims submissions from the store
 *   executor-N       slots   -    slots   worker/executor.c        drives one sandbox slot: compiles and runs
 *   reporter-N       2-8     -    2-8     worker/reporter.c        reports finished jobs to the store, with retries
 *   heartbeat        1       -    1       worker/heartbeat.c       renews the leases, reaps expired ones
 *   canceller        1       -    1       worker/canceller.c       stops the runs of aborted jobs
 *   artifact-writer  1?      -    1?      worker/artifact_cache.c  writes compiled programs to disk, evicts old ones
 *
 * The processes of the root side (supervisor, launcher, slots) have no threads: each has one task and may fork.
 */
#pragma once
