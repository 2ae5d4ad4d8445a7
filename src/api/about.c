/* about: GET / and GET /languages: what this server is, and what it can run. */
#include "api/routes.h"
#include "base/json_write.h"

#define ABOUT_BYTES_MAX (1u << 20)

static void answer_or_fail(struct exchange *exchange, struct buf *body, int failed, const struct error *err)
{
    if (failed < 0) {
        buf_done(body);
        exchange_answer_error(exchange, err);
    } else {
        exchange_answer_json(exchange, 200, body);
    }
}

void about_index(struct exchange *exchange, void *api)
{
    struct buf body;
    struct error err;
    (void)api;

    buf_init(&body, ABOUT_BYTES_MAX);
    int failed = buf_printf(&body, &err,
                            "{\"name\":\"evalx\",\"version\":\"" EVALX_VERSION "\",\"links\":{"
                            "\"submit\":\"/execute/batch\",\"submission\":\"/submissions/{token}\","
                            "\"languages\":\"/languages\",\"events\":\"/ws\",\"alive\":\"/healthz\","
                            "\"ready\":\"/readyz\",\"metrics\":\"/metrics\"}}");
    answer_or_fail(exchange, &body, failed, &err);
}

static int write_texts(const struct text texts[], size_t len, struct buf *out, struct error *err)
{
    if (buf_append(out, "[", 1, err) < 0)
        return -1;
    for (size_t i = 0; i < len; i++)
        if ((i > 0 && buf_append(out, ",", 1, err) < 0) || json_write_string(out, texts[i], NULL, err) < 0)
            return -1;
    return buf_append(out, "]", 1, err);
}

static int write_language(const struct language *language, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"id\":") < 0 || json_write_string(out, language->id, NULL, err) < 0 ||
        buf_printf(out, err, ",\"name\":") < 0 || json_write_string(out, language->name, NULL, err) < 0 ||
        buf_printf(out, err, ",\"version\":") < 0 || json_write_string(out, language->version, NULL, err) < 0 ||
        buf_printf(out, err, ",\"aliases\":") < 0 ||
        write_texts(language->aliases, language->aliases_len, out, err) < 0 ||
        buf_printf(out, err, ",\"versions\":") < 0 ||
        write_texts(language->versions, language->versions_len, out, err) < 0)
        return -1;
    return buf_printf(out, err, ",\"available\":%s}", language->available ? "true" : "false");
}

static int write_languages(const struct languages *languages, struct buf *out, struct error *err)
{
    if (buf_append(out, "[", 1, err) < 0)
        return -1;
    for (size_t i = 0; i < languages->len; i++)
        if ((i > 0 && buf_append(out, ",", 1, err) < 0) || write_language(&languages->list[i], out, err) < 0)
            return -1;
    return buf_append(out, "]", 1, err);
}

void about_languages(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct buf body;
    struct error err;

    buf_init(&body, ABOUT_BYTES_MAX);
    int failed = write_languages(api->languages, &body, &err);
    answer_or_fail(exchange, &body, failed, &err);
}
