/* Bodies from clients.  The first byte chooses the kind of request.  An accepted one is stored and read unchanged. */
#include "fuzz.h"

#include "codec/request_json.h"
#include "codec/submission_json.h"

static void check_promises(const struct submission *submission)
{
    assert(submission->tests_len >= 1 && submission->tests_len <= REQUEST_TESTS_MAX);
    assert(submission->programs_len >= 1 && submission->programs_len <= fuzz_config()->requests_max);
    for (size_t i = 0; i < submission->programs_len; i++)
        for (size_t k = 0; k < submission->programs[i].files_len; k++)
            assert(file_name_is_valid(submission->programs[i].files[k].name));
    struct limits ceiling;
    limits_ceiling(fuzz_config(), &ceiling);
    for (size_t i = 0; i < submission->tests_len; i++) {
        assert(submission->tests[i].program < submission->programs_len);
        for (size_t k = 0; k < LIMIT_FIELDS_LEN; k++) {
            uint64_t value = limits_get(&submission->tests[i].limits, k);
            assert(value <= limits_get(&ceiling, k) && value >= limit_fields[k].floor * limit_fields[k].factor);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const enum request_kind kinds[] = { REQUEST_BATCH, REQUEST_SINGLE, REQUEST_PARALLEL };
    struct submission submission, again;
    auto_buf struct buf stored = { .max = 64u << 20 };
    struct error err = { 0 };

    if (len < 1)
        return 0;
    struct text body = { (const char *)bytes + 1, len - 1 };
    if (request_decode(body, kinds[bytes[0] % 3], fuzz_languages(), TEXT("*"), fuzz_config(), &submission, &err) < 0) {
        assert(err.kind == ERROR_REQUEST && err.text[0] != '\0');
        assert(text_is_utf8(text_of(err.text)) && text_is_utf8(text_of(err.field)));
        return 0;
    }
    check_promises(&submission);
    if (submission_encode(&submission, &stored, &err) < 0 ||
        submission_decode(buf_text(&stored), fuzz_languages(), &again, &err) < 0)
        __builtin_trap();
    assert(again.tests_len == submission.tests_len && again.programs_len == submission.programs_len);
    submission_done(&submission);
    submission_done(&again);
    return 0;
}
