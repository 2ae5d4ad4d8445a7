/* fields: see the header. */
#include "config/fields.h"

#include <assert.h>
#include <inttypes.h>

const struct config_field config_fields[] = {
#define X(field, kind, env_name, file_key, def, text)                                                                  \
    { .key = file_key,                                                                                                 \
      .env = env_name,                                                                                                 \
      .standard = def,                                                                                                 \
      .help = text,                                                                                                    \
      .type = CONFIG_TYPE_OF_##kind,                                                                                   \
      .at = offsetof(struct config, field),                                                                            \
      .source_at = offsetof(struct config, field##_source) },
    CONFIG_LIST(X)
#undef X
};
const size_t config_fields_len = sizeof config_fields / sizeof *config_fields;

const char *config_source_name(enum config_source source)
{
    switch (source) {
    case CONFIG_DEFAULT:
        return "default";
    case CONFIG_FILE:
        return "file";
    case CONFIG_ENVIRONMENT:
        return "environment";
    case CONFIG_FLAG:
        return "flag";
    case CONFIG_SECRET_FILE:
        return "secret file";
    }
    assert(0 && "not a source");
    return "";
}

enum config_source config_field_source(const struct config *config, const struct config_field *field)
{
    enum config_source source;

    memcpy(&source, (const char *)config + field->source_at, sizeof source);
    return source;
}

/*
 * A password may contain any character, even an unescaped '@', ',' or '/'.  So the user part of a URL ends at the last
 * '@' before the next URL.  This may hide a host, but never shows a password.
 */
void config_mask(const char *value, char ret[CONFIG_SHOWN_BYTES])
{
    size_t len = 0;
    const char *at = value, *start;

    ret[0] = '\0';
    while ((start = strstr(at, "://")) != NULL) {
        const char *user = start + 3;
        const char *next = strstr(user, "://");
        const char *end = next != NULL ? next : user + strlen(user);
        const char *sign = memrchr(user, '@', (size_t)(end - user));
        const char *colon = sign != NULL ? memchr(user, ':', (size_t)(sign - user)) : NULL;
        const char *kept = colon != NULL ? colon + 1 : user;
        len += (size_t)snprintf(ret + len, CONFIG_SHOWN_BYTES - len, "%.*s%s", (int)(kept - at), at,
                                colon != NULL ? "***" : "");
        at = colon != NULL ? sign : kept;
        if (len >= CONFIG_SHOWN_BYTES)
            return;
    }
    (void)snprintf(ret + len, CONFIG_SHOWN_BYTES - len, "%s", at);
}

void config_field_show(const struct config *config, const struct config_field *field, char ret[CONFIG_SHOWN_BYTES])
{
    const void *value = (const char *)config + field->at;
    uint64_t number;

    switch (field->type) {
    case CONFIG_TYPE_OF_STRING:
        config_mask(value, ret);
        break;
    case CONFIG_TYPE_OF_SECRET:
        (void)snprintf(ret, CONFIG_SHOWN_BYTES, "%s", *(const char *)value != '\0' ? "(set)" : "(not set)");
        break;
    case CONFIG_TYPE_OF_UINT:
        memcpy(&number, value, sizeof number);
        (void)snprintf(ret, CONFIG_SHOWN_BYTES, "%" PRIu64, number);
        break;
    case CONFIG_TYPE_OF_BOOL:
        (void)snprintf(ret, CONFIG_SHOWN_BYTES, "%s", *(const bool *)value ? "true" : "false");
        break;
    }
}
