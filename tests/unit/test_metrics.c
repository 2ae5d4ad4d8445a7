/* metrics: the names, zeros, sums and escaping in the Prometheus text, and the text without a store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/metrics.h"

static const char *const languages[] = { "c", "py\"th\\on" };
static struct buf shown;

static int setup(void **state)
{
    (void)state;
    metrics_init(languages, 2);
    buf_init(&shown, 4 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_done(&shown);
    return 0;
}

static const char *show(const struct queue_depth *depth)
{
    struct error err;

    buf_clear(&shown);
    if (metrics_write(depth, &shown, &err) < 0)
        fail_msg("%s", err.text);
    return shown.at;
}

static void assert_shows(const char *text, const char *line)
{
    char whole[256];

    assert_true(snprintf(whole, sizeof whole, "\n%s\n", line) < (int)sizeof whole);
    if (strstr(text, whole) == NULL)
        fail_msg("missing: %s", line);
}

static void idle_languages_show_zeros(void **state)
{
    (void)state;
    static const struct queue_depth empty;
    const char *text = show(&empty);
    assert_shows(text, "evalx_queue_depth_total{language=\"c\"} 0");
    assert_shows(text, "evalx_cache_hits_total{language=\"c\"} 0");
    assert_shows(text, "evalx_cache_misses_total{language=\"c\"} 0");
    /* These would be half a megabyte with 200 languages. */
    assert_null(strstr(text, "evalx_execution_time_seconds_count{language=\"c\"}"));
    assert_null(strstr(text, "evalx_queue_wait_time_seconds_bucket{language=\"c\""));
    assert_null(strstr(text, "evalx_verdicts_total{language=\"c\""));
    metrics_execution("c", 1);
    metrics_verdict("c", VERDICT_ACCEPTED);
    text = show(&empty);
    assert_shows(text, "evalx_execution_time_seconds_count{language=\"c\"} 1");
    assert_shows(text, "evalx_verdicts_total{language=\"c\",verdict=\"accepted\"} 1");
    assert_null(strstr(text, "evalx_verdicts_total{language=\"c\",verdict=\"wrong_answer\"}"));
}

static void labels_are_escaped(void **state)
{
    (void)state;
    static const struct queue_depth empty;
    assert_shows(show(&empty), "evalx_queue_depth_total{language=\"py\\\"th\\\\on\"} 0");
}

/* An alarm has no data while its series is missing. */
static void zeros_are_shown(void **state)
{
    (void)state;
    static const struct queue_depth empty;
    const char *text = show(&empty);
    assert_shows(text, "evalx_queue_depth_total{language=\"c\"} 0");
    assert_shows(text, "evalx_queue_depth_total{language=\"mixed\"} 0");
    assert_shows(text, "evalx_queue_depth 0");
    assert_shows(text, "evalx_jobs_running 0");
    assert_shows(text, "evalx_slots 0");
    assert_shows(text, "evalx_slots_busy 0.000");
    assert_shows(text, "evalx_workers 0");
    assert_shows(text, "evalx_dead_submissions 0");
    assert_shows(text, "evalx_oldest_wait_seconds 0.000");
    struct queue_depth depth = { .queues = { { "mixed", 4, 0 } }, .queues_len = 1 };
    text = show(&depth);
    assert_shows(text, "evalx_queue_depth_total{language=\"mixed\"} 4");
    assert_null(strstr(text, "language=\"mixed\"} 0"));
}

static void depths_come_from_the_store(void **state)
{
    (void)state;
    struct queue_depth depth = { .queues = { { "c", 7, 2 }, { "cobol", 3, 0 } },
                                 .queues_len = 2,
                                 .waiting = 10,
                                 .running = 2,
                                 .dead = 1,
                                 .oldest_wait_ms = 1234,
                                 .workers = 3,
                                 .slots = 12,
                                 .busy_milli = 5250 };
    const char *text = show(&depth);
    assert_shows(text, "evalx_queue_depth_total{language=\"c\"} 7");
    assert_shows(text, "evalx_queue_depth_total{language=\"cobol\"} 3"); /* a language that only another machine has */
    assert_shows(text, "evalx_queue_depth 10");
    assert_shows(text, "evalx_jobs_running 2");
    assert_shows(text, "evalx_dead_submissions 1");
    assert_shows(text, "evalx_workers 3");
    assert_shows(text, "evalx_slots 12");
    assert_shows(text, "evalx_slots_busy 5.250");
    assert_shows(text, "evalx_oldest_wait_seconds 1.234");
}

static void without_a_store_its_values_are_omitted(void **state)
{
    (void)state;
    const char *text = show(NULL);
    assert_null(strstr(text, "evalx_queue_depth"));
    assert_null(strstr(text, "evalx_workers"));
    assert_non_null(strstr(text, "process_resident_memory_bytes "));
}

static void histograms_are_cumulative(void **state)
{
    (void)state;
    metrics_execution("c", 1000); /* equal to a bound: counted below it */
    metrics_execution("c", 1001);
    metrics_execution("c", 999000000); /* above the last bound */
    const char *text = show(NULL);
    assert_shows(text, "evalx_execution_time_seconds_bucket{language=\"c\",le=\"0.001\"} 1");
    assert_shows(text, "evalx_execution_time_seconds_bucket{language=\"c\",le=\"0.0025\"} 2");
    assert_shows(text, "evalx_execution_time_seconds_bucket{language=\"c\",le=\"120\"} 2");
    assert_shows(text, "evalx_execution_time_seconds_bucket{language=\"c\",le=\"+Inf\"} 3");
    assert_shows(text, "evalx_execution_time_seconds_count{language=\"c\"} 3");
    assert_shows(text, "evalx_execution_time_seconds_sum{language=\"c\"} 999.002001");
}

static void requests_are_counted_by_route_and_status(void **state)
{
    (void)state;
    metrics_http("GET", "/submissions/{token}", 200, 400);
    metrics_http("GET", "/submissions/{token}", 200, 2000);
    metrics_http("GET", "/submissions/{token}", 404, 100);
    const char *text = show(NULL);
    assert_shows(text, "http_requests_total{method=\"GET\",path=\"/submissions/{token}\",status=\"200\"} 2");
    assert_shows(text, "http_requests_total{method=\"GET\",path=\"/submissions/{token}\",status=\"404\"} 1");
    assert_shows(text, "http_request_duration_seconds_count{method=\"GET\",path=\"/submissions/{token}\"} 3");
    assert_shows(text, "http_request_duration_seconds_sum{method=\"GET\",path=\"/submissions/{token}\"} 0.002500");
}

static void no_job_can_make_a_series(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "l%d", i);
        metrics_cache(name, i % 2 == 0);
        metrics_queue_wait(name, 5);
        metrics_verdict(name, VERDICT_ACCEPTED);
    }
    const char *text = show(NULL);
    assert_shows(text, "evalx_cache_hits_total{language=\"other\"} 500");
    assert_shows(text, "evalx_cache_misses_total{language=\"other\"} 500");
    assert_shows(text, "evalx_queue_wait_time_seconds_sum{language=\"other\"} 5.000000");
    assert_shows(text, "evalx_verdicts_total{language=\"other\",verdict=\"accepted\"} 1000");
    assert_null(strstr(text, "l999"));
}

/* Every family has one HELP and one TYPE line. */
static void every_family_has_its_head_once(void **state)
{
    (void)state;
    static const struct queue_depth empty;
    static const char *const families[] = {
        "evalx_queue_depth_total",
        "evalx_queue_depth",
        "evalx_jobs_running",
        "evalx_dead_submissions",
        "evalx_workers",
        "evalx_slots",
        "evalx_slots_busy",
        "evalx_oldest_wait_seconds",
        "http_requests_total",
        "http_request_duration_seconds",
        "evalx_execution_time_seconds",
        "evalx_queue_wait_time_seconds",
        "evalx_cache_hits_total",
        "evalx_cache_misses_total",
        "evalx_verdicts_total",
        "process_open_fds",
        "process_start_time_seconds",
        "process_cpu_seconds_total",
        "evalx_build_info",
    };
    const char *text = show(&empty);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char head[96];
        (void)snprintf(head, sizeof head, "# TYPE %s ", families[i]);
        const char *first = strstr(text, head);
        if (first == NULL)
            fail_msg("no TYPE of %s", families[i]);
        assert_null(strstr(first + 1, head));
        (void)snprintf(head, sizeof head, "# HELP %s ", families[i]);
        assert_non_null(strstr(text, head));
    }
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(idle_languages_show_zeros),
        ROW(labels_are_escaped),
        ROW(zeros_are_shown),
        ROW(depths_come_from_the_store),
        ROW(without_a_store_its_values_are_omitted),
        ROW(histograms_are_cumulative),
        ROW(requests_are_counted_by_route_and_status),
        ROW(no_job_can_make_a_series),
        ROW(every_family_has_its_head_once),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
