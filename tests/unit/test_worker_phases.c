/* worker phases: which threads stop, and what becomes of the jobs, when a worker enters each phase. */
#include "fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/request_json.h"
#include "codec/submission_json.h"
#include "worker/worker_internal.h"

/* A store that answers as the test wants.  Its claim waits until store_wake, as a real one does. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_woken, claim_waits, has_claim;
    unsigned failures_left; /* of finish and release */
    unsigned finishes, releases, reports_failed;
} fake;

static struct store_claim new_claim(void)
{
    static const char request[] = "[{\"language\":\"c\",\"version\":\"*\",\"code\":\"a\"}]";
    struct store_claim claim = { .attempt = 1, .payload = { .max = 1u << 20 } };
    struct submission submission;
    struct error err;

    assert_ok(request_decode(text_of(request), REQUEST_BATCH, &languages, TEXT("*"), &config, &submission, &err), err);
    assert_ok(submission_encode(&submission, &claim.payload, &err), err);
    memcpy(claim.token, submission.token, sizeof claim.token);
    submission_done(&submission);
    return claim;
}

static int fake_claim(struct store *store, const struct store_worker *worker, size_t max, uint32_t wait_ms,
                      struct store_claim ret_claims[], size_t *ret_len, struct error *err)
{
    (void)store, (void)worker, (void)max, (void)wait_ms, (void)err;
    lock_guard(&fake.lock);
    fake.claim_waits = true;
    cond_broadcast(&fake.changed);
    while (!fake.is_woken)
        cond_wait(&fake.changed, &fake.lock);
    fake.claim_waits = false;
    *ret_len = 0;
    if (fake.has_claim)
        ret_claims[(*ret_len)++] = new_claim();
    fake.has_claim = false;
    return 0;
}

static void fake_wake(struct store *store)
{
    (void)store;
    lock_guard(&fake.lock);
    fake.is_woken = true;
    cond_broadcast(&fake.changed);
}

static int report(unsigned *counter, struct error *err)
{
    lock_guard(&fake.lock);
    cond_broadcast(&fake.changed);
    if (fake.failures_left > 0) {
        fake.failures_left--;
        fake.reports_failed++;
        return error_set(err, ERROR_STORE, 0, "the store is unreachable");
    }
    (*counter)++;
    return 0;
}

static int fake_finish(struct store *store, const char *worker, const char *token, uint32_t attempt,
                       enum submission_state state, struct text result, bool *ret_kept, struct error *err)
{
    (void)store, (void)worker, (void)token, (void)attempt, (void)result;
    assert_int_equal(state, SUBMISSION_FAILED);
    *ret_kept = true;
    return report(&fake.finishes, err);
}

static int fake_release(struct store *store, const char *token, uint32_t attempt, struct error *err)
{
    (void)store, (void)token, (void)attempt;
    return report(&fake.releases, err);
}

static int fake_heartbeat(struct store *store, const struct store_worker *worker, struct store_lease leases[],
                          size_t len, struct error *err)
{
    (void)store, (void)worker, (void)leases, (void)len, (void)err;
    return 0;
}

static int fake_reap(struct store *store, struct error *err)
{
    (void)store, (void)err;
    return 0;
}

static const struct store_ops fake_ops = { .claim = fake_claim,
                                           .wake = fake_wake,
                                           .finish = fake_finish,
                                           .release = fake_release,
                                           .heartbeat = fake_heartbeat,
                                           .reap_expired = fake_reap };
static struct store fake_store = { .ops = &fake_ops, .kind = "fake" };

/* A running worker without threads.  Its one executor has an open slot, but takes no steps. */
static void start(struct worker *worker, struct executor *executor)
{
    memset(&fake, 0, sizeof fake);
    mutex_init(&fake.lock);
    cond_init(&fake.changed);
    *executor = (struct executor){ .worker = worker };
    *worker = (struct worker){ .config = &config,
                               .languages = &languages,
                               .store = &fake_store,
                               .step_us = STEP_US_LONG,
                               .executors = executor,
                               .executors_len = 1,
                               .slots_open = 1 };
    worker_init_sync(worker);
    for (size_t i = 0; i < languages.len; i++)
        languages.list[i].available = true;
}

static void enter(struct worker *worker, enum worker_phase phase)
{
    lock_guard(&worker->lock);
    worker_set_phase(worker, phase);
}

/* A job that cannot be decoded, so that it ends at once and waits for a reporter. */
static void add_failed_job(struct worker *worker)
{
    struct store_claim claim = { .attempt = 1, .payload = { .max = 100 } };
    struct error err;

    assert_ok(buf_append_text(&claim.payload, TEXT("garbage"), &err), err);
    struct job *job = job_new(&claim, &languages, 3);
    lock_guard(&worker->lock);
    worker_add_job(worker, job);
}

static size_t wait_for_jobs(struct worker *worker, size_t len)
{
    lock_guard(&worker->lock);
    while (worker->jobs_len > len && cond_wait_for(&worker->progress, &worker->lock, 20000000))
        ;
    return worker->jobs_len;
}

static void a_drain_ends_the_fetcher_and_releases_its_last_claim(void **state)
{
    (void)state;
    struct worker worker;
    struct executor executor;
    pthread_t fetcher;

    start(&worker, &executor);
    fake.has_claim = true;
    thread_start_or_abort(&fetcher, "fetcher", fetcher_main, &worker);
    mutex_lock(&fake.lock);
    while (!fake.claim_waits)
        cond_wait(&fake.changed, &fake.lock);
    mutex_unlock(&fake.lock);
    assert_false(worker.fetcher_done);
    enter(&worker, WORKER_NO_CLAIMS);
    store_wake(&fake_store);
    thread_join(fetcher);
    assert_true(worker.fetcher_done);
    assert_int_equal(worker.jobs_len, 1);
    assert_int_equal(worker.jobs->end, JOB_RELEASE);
    assert_ptr_equal(worker.reports_first, worker.jobs); /* no step is left to wait for */

    pthread_t reporter;
    thread_start_or_abort(&reporter, "reporter-0", reporter_main, &worker);
    assert_int_equal(wait_for_jobs(&worker, 0), 0);
    assert_int_equal(fake.releases, 1);
    enter(&worker, WORKER_STOPPING);
    thread_join(reporter);
}

static void a_fetcher_without_capacity_leaves_when_the_drain_begins(void **state)
{
    (void)state;
    struct worker worker;
    struct executor executor;
    pthread_t fetcher;

    start(&worker, &executor);
    worker.steps_running = 1;
    thread_start_or_abort(&fetcher, "fetcher", fetcher_main, &worker);
    enter(&worker, WORKER_NO_CLAIMS);
    thread_join(fetcher);
    assert_int_equal(worker.jobs_len, 0);
}

static void during_the_drain_a_report_is_retried_until_the_store_takes_it(void **state)
{
    (void)state;
    struct worker worker;
    struct executor executor;
    pthread_t reporter;

    start(&worker, &executor);
    fake.failures_left = 3;
    enter(&worker, WORKER_NO_CLAIMS);
    add_failed_job(&worker);
    thread_start_or_abort(&reporter, "reporter-0", reporter_main, &worker);
    assert_int_equal(wait_for_jobs(&worker, 0), 0);
    assert_int_equal(fake.reports_failed, 3);
    assert_int_equal(fake.finishes, 1);
    enter(&worker, WORKER_STOPPING);
    thread_join(reporter);
}

static void after_the_drain_no_report_is_retried(void **state)
{
    (void)state;
    struct worker worker;
    struct executor executor;
    pthread_t reporter;

    start(&worker, &executor);
    fake.failures_left = UINT32_MAX;
    enter(&worker, WORKER_NO_CLAIMS);
    add_failed_job(&worker);
    thread_start_or_abort(&reporter, "reporter-0", reporter_main, &worker);
    mutex_lock(&fake.lock);
    while (fake.reports_failed < 4) /* it waits at least 0.2 s before the next try */
        cond_wait(&fake.changed, &fake.lock);
    mutex_unlock(&fake.lock);
    assert_int_equal(worker.jobs_len, 1);
    enter(&worker, WORKER_NO_RETRY); /* also cuts that wait short */
    assert_int_equal(wait_for_jobs(&worker, 0), 0);
    assert_int_equal(fake.finishes, 0);

    unsigned tries = fake.reports_failed;
    add_failed_job(&worker);
    assert_int_equal(wait_for_jobs(&worker, 0), 0);
    assert_int_equal(fake.reports_failed, tries + 1);
    enter(&worker, WORKER_STOPPING);
    thread_join(reporter);
}

static void stopping_ends_every_thread(void **state)
{
    (void)state;
    struct worker worker;
    struct executor executor;
    pthread_t reporter, heartbeat, canceller;

    start(&worker, &executor);
    thread_start_or_abort(&reporter, "reporter-0", reporter_main, &worker);
    thread_start_or_abort(&heartbeat, "heartbeat", heartbeat_main, &worker);
    thread_start_or_abort(&canceller, "canceller", canceller_main, &worker);
    enter(&worker, WORKER_STOPPING);
    thread_join(reporter);
    thread_join(heartbeat);
    thread_join(canceller);
}

static void a_phase_never_returns(void **state)
{
    (void)state;
    struct worker worker;
    struct executor executor;
    int status;

    start(&worker, &executor);
    enter(&worker, WORKER_NO_RETRY);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(STDERR_FILENO); /* the failed assertion is expected */
        struct sigaction by_default = { .sa_handler = SIG_DFL };
        (void)sigaction(SIGABRT, &by_default, NULL);
        enter(&worker, WORKER_RUNNING);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_ends_the_fetcher_and_releases_its_last_claim),
        cmocka_unit_test(a_fetcher_without_capacity_leaves_when_the_drain_begins),
        cmocka_unit_test(during_the_drain_a_report_is_retried_until_the_store_takes_it),
        cmocka_unit_test(after_the_drain_no_report_is_retried),
        cmocka_unit_test(stopping_ends_every_thread),
        cmocka_unit_test(a_phase_never_returns),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
