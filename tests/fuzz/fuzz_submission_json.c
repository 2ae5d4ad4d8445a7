/* Bytes from a store.  A submission that can be decoded is encoded and decoded again to the same. */
#include "fuzz.h"

#include "codec/submission_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    auto_buf struct buf one = { .max = SIZE_MAX / 4 }, other = { .max = SIZE_MAX / 4 };
    struct submission submission, again;
    struct error err = { 0 };

    if (submission_decode((struct text){ (const char *)bytes, len }, fuzz_languages(), &submission, &err) < 0) {
        assert(err.kind == ERROR_BUG || err.kind == ERROR_SANDBOX || err.kind == ERROR_BUSY);
        return 0;
    }
    if (submission_encode(&submission, &one, &err) < 0 ||
        submission_decode(buf_text(&one), fuzz_languages(), &again, &err) < 0 ||
        submission_encode(&again, &other, &err) < 0)
        __builtin_trap();
    assert(text_equal(buf_text(&one), buf_text(&other)));
    (void)submission_queue(&submission);
    submission_done(&submission);
    submission_done(&again);
    return 0;
}
