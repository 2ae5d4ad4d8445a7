/* about: GET / and GET /languages. */
#include "api/routes.h"
#include "base/json_write.h"
#include "model/image_extension.h"
#include "model/language_choice.h"

#define ABOUT_BYTES_MAX (1u << 20)

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
    exchange_respond_result(exchange, &body, failed < 0 ? &err : NULL);
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

/* The extensions of the language's image that the client may use. */
static int write_images(const struct languages *languages, const struct language *language, struct text images,
                        struct buf *out, struct error *err)
{
    const char *comma = "";

    if (buf_printf(out, err, ",\"images\":[") < 0)
        return -1;
    for (size_t i = 0; i < languages->len; i++) {
        const struct language *variant = &languages->list[i];
        if (!text_equal(variant->base, language->id) || !image_list_has(images, variant->image))
            continue;
        if (buf_printf(out, err, "%s{\"name\":", comma) < 0 || json_write_string(out, variant->image, NULL, err) < 0 ||
            buf_printf(out, err, ",\"available\":%s}", variant->available ? "true" : "false") < 0)
            return -1;
        comma = ",";
    }
    return buf_append(out, "]", 1, err);
}

static int write_language(const struct languages *languages, const struct language *language, struct text images,
                          struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "{\"id\":") < 0 || json_write_string(out, language->id, NULL, err) < 0 ||
        buf_printf(out, err, ",\"name\":") < 0 || json_write_string(out, language->name, NULL, err) < 0 ||
        buf_printf(out, err, ",\"version\":") < 0 || json_write_string(out, language->version, NULL, err) < 0 ||
        buf_printf(out, err, ",\"aliases\":") < 0 ||
        write_texts(language->aliases, language->aliases_len, out, err) < 0 ||
        buf_printf(out, err, ",\"versions\":") < 0 ||
        write_texts(language->versions, language->versions_len, out, err) < 0 ||
        buf_printf(out, err, ",\"standards\":") < 0 ||
        write_texts(language->standards, language->standards_len, out, err) < 0 ||
        buf_printf(out, err, ",\"of\":") < 0 || json_write_string_or_null(out, language->of, NULL, err) < 0 ||
        write_images(languages, language, images, out, err) < 0)
        return -1;
    bool is_latest = languages_latest(languages, language) == language;
    return buf_printf(out, err, ",\"latest\":%s,\"available\":%s}", is_latest ? "true" : "false",
                      language->available ? "true" : "false");
}

static int write_languages(const struct languages *languages, struct text images, struct buf *out, struct error *err)
{
    const char *comma = "";

    if (buf_append(out, "[", 1, err) < 0)
        return -1;
    for (size_t i = 0; i < languages->len; i++) {
        if (languages->list[i].base.len > 0)
            continue;
        if (buf_printf(out, err, "%s", comma) < 0 ||
            write_language(languages, &languages->list[i], images, out, err) < 0)
            return -1;
        comma = ",";
    }
    return buf_append(out, "]", 1, err);
}

void about_languages(struct exchange *exchange, void *context)
{
    struct api *api = context;
    struct buf body;
    struct error err;

    buf_init(&body, ABOUT_BYTES_MAX);
    int failed = write_languages(api->languages, api_client_images(exchange_client(exchange)), &body, &err);
    exchange_respond_result(exchange, &body, failed < 0 ? &err : NULL);
}
