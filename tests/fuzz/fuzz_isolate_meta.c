/*
 * isolate's meta file.  Root writes it, but it decides a verdict.  Whatever it contains, accepted values are within
 * their bounds, and one additional invalid line makes the parser fail.
 */
#include "fuzz.h"

#include "sandboxd/isolate_meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct isolate_meta meta = { 0 }, again = { 0 };
    struct error err = { 0 };

    if (isolate_meta_parse((struct text){ (const char *)bytes, len }, &meta, &err) < 0) {
        assert(err.kind == ERROR_SANDBOX && err.text[0] != '\0' && text_is_utf8(text_of(err.text)));
        return 0;
    }
    assert(len == 0 || bytes[len - 1] == '\n');
    assert(meta.exit_code <= 255 && meta.signal <= 255);
    assert(meta.cpu_us <= 100000001000000 && meta.wall_us <= 100000001000000);
    assert(meta.has_exit_code || meta.exit_code == 0);
    assert(meta.has_signal || meta.signal == 0);
    for (const char *at = meta.message; *at != '\0'; at++)
        assert(*at >= ' ' && *at <= '~');

    auto_buf struct buf more = { .max = SIZE_MAX / 4 };
    if (len + sizeof "status:TO\nexitcode:0x\n" > ISOLATE_META_BYTES_MAX)
        return 0;
    if (buf_append(&more, (const char *)bytes, len, &err) < 0 || buf_append(&more, "status:TO\n", 10, &err) < 0)
        __builtin_trap();
    if (isolate_meta_parse(buf_text(&more), &again, &err) < 0)
        __builtin_trap();
    assert(again.status == ISOLATE_TO && again.cpu_us == meta.cpu_us);
    if (buf_append(&more, "exitcode:0x\n", 12, &err) < 0)
        __builtin_trap();
    assert(isolate_meta_parse(buf_text(&more), &again, &err) < 0);
    return 0;
}
