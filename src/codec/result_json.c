/*
 * result_json: writes results into the buffer directly, because an output may have megabytes.
 */
#include "codec/result_json.h"

#include <inttypes.h>
#include <string.h>

#include "base/json_write.h"
#include "model/language.h"

static int write_signal(struct buf *out, int number, struct error *err)
{
    if (number == 0)
        return buf_append_text(out, TEXT("null"), err);
    const char *name = sigabbrev_np(number);
    if (name != NULL)
        return buf_printf(out, err, "\"SIG%s\"", name);
    return buf_printf(out, err, "\"signal %d\"", number); /* real-time signals have no name */
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

/* "language", "version", and "image" if it is not the language's own. */
static int write_language(struct buf *out, const struct result *result, struct error *err)
{
    struct text id = language_base_id(result->language);

    if (buf_append_text(out, TEXT(",\"language\":"), err) < 0 || json_write_string(out, id, NULL, err) < 0 ||
        buf_append_text(out, TEXT(",\"version\":"), err) < 0 || json_write_string(out, result->version, NULL, err) < 0)
        return -1;
    if (id.len == result->language.len)
        return 0;
    struct text image = { result->language.at + id.len + 1, result->language.len - id.len - 1 };
    return buf_append_text(out, TEXT(",\"image\":"), err) < 0 ? -1 : json_write_string(out, image, NULL, err);
}

static int write_result(struct buf *out, const struct result *result, struct error *err)
{
    const struct run_stats *stats = &result->stats;
    bool ran = result->verdict != VERDICT_COMPILE_ERROR;
    bool output_replaced, errors_replaced;

    /* What older clients read. */
    if (buf_append_text(out, TEXT("{\"compile_time\":"), err) < 0 ||
        json_write_seconds(out, result->compile_us, err) < 0 || buf_append_text(out, TEXT(",\"stdout\":"), err) < 0 ||
        json_write_string(out, result->output, &output_replaced, err) < 0 ||
        buf_append_text(out, TEXT(",\"stderr\":"), err) < 0 ||
        json_write_string_or_null(out, result->errors, &errors_replaced, err) < 0 ||
        buf_printf(out, err, ",\"exit_code\":%d,\"run_time\":", result_exit_code(result)) < 0 ||
        json_write_seconds(out, ran ? stats->wall_us : 0, err) < 0 ||
        buf_printf(out, err, ",\"space_consumed\":\"%.2f MB\"", (double)stats->memory_bytes / (1 << 20)) < 0)
        return -1;

    if (buf_printf(out, err, ",\"status\":\"%s\",\"cpu_time\":", verdict_name(result->verdict)) < 0 ||
        json_write_seconds(out, stats->cpu_us, err) < 0 || buf_append_text(out, TEXT(",\"wall_time\":"), err) < 0 ||
        json_write_seconds(out, stats->wall_us, err) < 0 ||
        buf_printf(out, err, ",\"memory_bytes\":%" PRIu64 ",\"signal\":", stats->memory_bytes) < 0 ||
        write_signal(out, stats->signal, err) < 0 ||
        buf_printf(out, err, ",\"output_truncated\":%s,\"stderr_truncated\":%s,\"output_replaced\":%s",
                   truth(result->output_cut), truth(result->errors_cut), truth(output_replaced || errors_replaced)) < 0)
        return -1;

    if (result->wants_base64 &&
        (buf_append_text(out, TEXT(",\"stdout_base64\":"), err) < 0 ||
         json_write_base64(out, result->output, err) < 0 ||
         buf_append_text(out, TEXT(",\"stderr_base64\":"), err) < 0 || json_write_base64(out, result->errors, err) < 0))
        return -1;
    if (buf_append_text(out, TEXT(",\"compile_output\":"), err) < 0 ||
        json_write_string_or_null(out, result->compile_output, NULL, err) < 0 ||
        buf_printf(out, err, ",\"compile_cached\":%s,\"result_cached\":%s,\"message\":", truth(result->compile_cached),
                   truth(result->cached)) < 0 ||
        json_write_string_or_null(out, result->message, NULL, err) < 0 || write_language(out, result, err) < 0)
        return -1;
    return buf_printf(out, err, ",\"test\":%" PRIu32 ",\"element\":%" PRIu32 "}", result->index, result->element);
}

uint64_t result_outputs_bytes(const struct result *result)
{
    uint64_t bytes = json_string_bytes(result->output) + json_string_bytes(result->errors) +
                     json_string_bytes(result->compile_output);
    return bytes + (result->wants_base64 ? (result->output.len + result->errors.len) / 3 * 4 + 8 : 0);
}

int results_encode(const struct result results[], size_t results_len, struct buf *out, struct error *err)
{
    if (buf_append_text(out, TEXT("["), err) < 0)
        return -1;
    for (size_t i = 0; i < results_len; i++)
        if ((i > 0 && buf_append_text(out, TEXT(","), err) < 0) || write_result(out, &results[i], err) < 0)
            return -1;
    return buf_append_text(out, TEXT("]"), err);
}
