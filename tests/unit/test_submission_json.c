/* Stored submissions that no evalx of this version wrote. */
#include "fixture.h"

#include "codec/request_json.h"
#include "codec/submission_json.h"

#define HEAD "{\"v\":1,\"token\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"created_ms\":5,\"priority\":\"normal\","
#define PROGRAM "\"programs\":[{\"language\":\"c\",\"version\":\"1\",\"files\":[[\"main.c\",\"x\"]]}],"
#define LIMITS "\"limits\":[1,2,3,4,5,6,7,8,9]"
#define TEST "{\"p\":0,\"e\":0,\"i\":0," LIMITS "}"

static void an_unreadable_submission_is_reported_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *stored;
        enum error_kind kind;
        const char *text;
    } rows[] = {
        { "", ERROR_BUG, "unreadable: line 1" },
        { "[]", ERROR_BUG, "it has no version" },
        { "{\"v\":4}", ERROR_BUG, "has version 4, this evalx reads up to version 3" },
        { "{\"v\":0}", ERROR_BUG, "has version 0" },
        { HEAD PROGRAM "\"tests\":[{\"p\":0,\"e\":0,\"i\":0,\"same\":1," LIMITS "}]}", ERROR_BUG, "none before it" },
        { HEAD PROGRAM "\"tests\":[" TEST ",{\"p\":0,\"e\":1,\"i\":0,\"same\":8}]}", ERROR_BUG, "a number" },
        { "{\"v\":1}", ERROR_BUG, "its token" },
        { HEAD "\"programs\":[],\"tests\":[]}", ERROR_BUG, "its programs or tests" },
        { HEAD PROGRAM "\"tests\":[]}", ERROR_BUG, "its programs or tests" },
        { HEAD PROGRAM "\"tests\":[{}]}", ERROR_BUG, "a number" },
        { HEAD PROGRAM "\"tests\":[{\"p\":1,\"e\":0,\"i\":0," LIMITS "}]}", ERROR_BUG, "a test of no program" },
        { HEAD PROGRAM "\"tests\":[{\"p\":0,\"e\":0,\"i\":0}]}", ERROR_BUG, "the first test has no limits" },
        { HEAD PROGRAM "\"tests\":[{\"p\":0,\"e\":0,\"i\":0,\"limits\":[1]}]}", ERROR_BUG, "a number" },
        { HEAD PROGRAM
          "\"tests\":[{\"p\":0,\"e\":0,\"i\":0,\"limits\":[1,2,3,4,5,6,7,8,9,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}]}",
          ERROR_BUG, "limits" },
        { HEAD PROGRAM "\"tests\":[{\"p\":0,\"e\":0,\"i\":0,\"limits\":[1,2,3,4,5,6,7,4294967296,9]}]}", ERROR_BUG,
          "a number" },
        { HEAD PROGRAM "\"tests\":[{\"p\":0,\"e\":0,\"i\":0,\"in\":{\"b64\":\"=\"}," LIMITS "}]}", ERROR_BUG, "bytes" },
        { HEAD PROGRAM "\"tests\":[{\"p\":0,\"e\":0,\"i\":0,\"args\":[\"\\u0000\"]," LIMITS "}]}", ERROR_BUG,
          "an argument" },
        { HEAD "\"programs\":[{\"language\":\"klingon\",\"version\":\"1\",\"files\":[[\"a\",\"\"]]}],\"tests\":[" TEST
               "]}",
          ERROR_SANDBOX, "this worker has no language \"klingon\"" },
        { HEAD "\"programs\":[{\"language\":\"c\",\"version\":\"1\",\"files\":[[\"../a\",\"\"]]}],\"tests\":[" TEST
               "]}",
          ERROR_BUG, "the name of a file" },
        { HEAD "\"programs\":[{\"language\":\"c\",\"version\":\"1\",\"files\":[[\"a\"]]}],\"tests\":[" TEST "]}",
          ERROR_BUG, "a file" },
        { "{\"v\":1,\"token\":\"x\"}", ERROR_BUG, "its token" },
        { "{\"v\":1,\"token\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"created_ms\":-5}", ERROR_BUG, "a number" },
        { "{\"v\":1,\"token\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"created_ms\":5}", ERROR_BUG, "its priority" },
        { "{\"v\":1,\"token\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"created_ms\":5,\"client\":\"+\"}", ERROR_BUG,
          "its client" },
    };
    struct submission submission;
    struct error err;

    assert_ok(submission_decode(TEXT(HEAD PROGRAM "\"tests\":[" TEST "]}"), &languages, &submission, &err), err);
    assert_int_equal(submission.tests[0].limits.open_files, 9);
    submission_done(&submission);
    for (size_t i = 0; i < LEN(rows); i++) {
        print_message("  %s\n", rows[i].text);
        assert_int_equal(submission_decode(text_of(rows[i].stored), &languages, &submission, &err), -1);
        assert_int_equal(err.kind, rows[i].kind);
        assert_contains(err.text, rows[i].text);
    }
}

static void a_request_comes_back_as_it_was(void **state)
{
    (void)state;
    auto_buf struct buf stored = { .max = 1 << 20 };
    struct submission before, after;
    struct error err;

    assert_ok(
        request_decode(TEXT("[{\"language\":\"py\",\"version\":\"latest\",\"code\":\"print()\",\"priority\":\"high\","
                            "\"stdin_base64\":\"AP/DKA==\",\"args\":[\"a\",\"\"]},{\"stdin\":\"\\u0000\\u00e9\"},"
                            "{\"timeout\":1,\"expected_output\":\"\",\"base64\":true,"
                            "\"network\":\"loopback\"}]"),
                       REQUEST_BATCH, &languages, TEXT("*"), &config, &before, &err),
        err);
    for (int flags = 7; flags >= 0; flags--) {
        buf_clear(&stored);
        before.share_cache = (flags & 4) != 0;
        (void)snprintf(before.client, sizeof before.client, "%s", before.share_cache ? "a_b-c.1" : "");
        before.fresh = (flags & 1) != 0;
        before.cache_results = (flags & 2) != 0;
        assert_ok(submission_encode(&before, &stored, &err), err);
        assert_ok(submission_decode(buf_text(&stored), &languages, &after, &err), err);
        assert_int_equal(after.fresh, before.fresh);
        assert_int_equal(after.cache_results, before.cache_results);
        assert_int_equal(after.share_cache, before.share_cache);
        assert_string_equal(after.client, before.client);
        if (flags > 0)
            submission_done(&after);
    }
    assert_string_equal(after.token, before.token);
    assert_int_equal(after.created_ms, before.created_ms);
    assert_int_equal(after.priority, PRIORITY_HIGH);
    assert_ptr_equal(after.programs[0].language, before.programs[0].language);
    assert_text_equal(after.programs[0].version, "latest");
    assert_text_equal(after.tests[0].input, "\0\xff\xc3(");
    assert_int_equal(after.tests[0].args_len, 2);
    assert_text_equal(after.tests[1].input, "\0\xc3\xa9");
    assert_false(after.tests[1].has_expected);
    assert_true(after.tests[2].has_expected);
    assert_true(after.tests[2].wants_base64);
    assert_int_equal(after.tests[1].network, RUN_NETWORK_NONE);
    assert_int_equal(after.tests[2].network, RUN_NETWORK_LOOPBACK);
    assert_int_equal(after.tests[2].limits.cpu_us, 1000000);
    assert_int_equal(after.tests[1].limits.cpu_us, 5000000);
    submission_done(&before);
    submission_done(&after);
}

/* A batch whose tests inherit `bytes` of input, arguments and expected output. */
static void encode_inherited(size_t bytes, struct buf *out, struct submission *ret)
{
    auto_buf struct buf body = { .max = 1 << 20 };
    struct error err;
    char *text = calloc(1, bytes + 1);
    assert_non_null(text);
    memset(text, 'x', bytes);
    assert_ok(buf_printf(&body, &err,
                         "[{\"language\":\"c\",\"version\":\"*\",\"code\":\"a\",\"stdin\":\"%s\",\"args\":[\"%s\"],"
                         "\"expected_output\":\"%s\",\"tests\":[{},{},{\"stdin\":\"own\"},{}]}]",
                         text, text, text),
              err);
    free(text);
    assert_ok(request_decode(buf_text(&body), REQUEST_BATCH, &languages, TEXT("*"), &config, ret, &err), err);
    assert_ok(submission_encode(ret, out, &err), err);
}

static void what_tests_inherit_is_stored_once(void **state)
{
    (void)state;
    for (size_t bytes = 4; bytes <= 8000; bytes *= 2000) {
        auto_buf struct buf stored = { .max = 1 << 20 };
        struct submission before, after;
        struct error err;
        bool is_shared = bytes > 4;
        encode_inherited(bytes, &stored, &before);
        assert_int_equal(submission_version(&before), is_shared ? 2 : 1);
        assert_int_equal(stored.at[5], is_shared ? '2' : '1');
        if (is_shared)
            assert_true(stored.len < 5 * bytes); /* the input twice, because the third test has its own */
        assert_ok(submission_decode(buf_text(&stored), &languages, &after, &err), err);
        assert_int_equal(after.tests_len, 4);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(after.tests[i].input.len, i == 2 ? 3 : bytes);
            assert_int_equal(after.tests[i].args_len, 1);
            assert_int_equal(after.tests[i].args[0].len, bytes);
            assert_true(after.tests[i].has_expected);
            assert_int_equal(after.tests[i].expected.len, bytes);
        }
        submission_done(&before);
        submission_done(&after);
    }
}

static void each_version_has_its_own_queue(void **state)
{
    (void)state;
    char queue[QUEUE_NAME_BYTES];
    queue_name(TEXT("c++"), 1, queue);
    assert_string_equal(queue, "c++");
    queue_name(TEXT("c++"), 2, queue);
    assert_string_equal(queue, "c++@2");
    assert_text_equal(queue_language(queue), "c++");
    assert_text_equal(queue_language("mixed"), "mixed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unreadable_submission_is_reported_with_the_reason),
        cmocka_unit_test(a_request_comes_back_as_it_was),
        cmocka_unit_test(what_tests_inherit_is_stored_once),
        cmocka_unit_test(each_version_has_its_own_queue),
    };
    request_init();
    return cmocka_run_group_tests_name("submission_json", tests, set_up, tear_down);
}
