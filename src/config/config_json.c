/* config_json: all settings with their sources, as JSON. */
#include <inttypes.h>
#include <jansson.h>

#include "config/config.h"
#include "config/fields.h"

static json_t *value_of(const struct config *config, const struct config_field *field)
{
    const void *value = (const char *)config + field->at;
    char shown[CONFIG_SHOWN_BYTES];
    uint64_t number;

    switch (field->type) {
    case CONFIG_TYPE_OF_UINT:
        memcpy(&number, value, sizeof number);
        return json_integer((json_int_t)number);
    case CONFIG_TYPE_OF_BOOL:
        return json_boolean(*(const bool *)value);
    case CONFIG_TYPE_OF_STRING:
    case CONFIG_TYPE_OF_SECRET:
        config_field_show(config, field, shown);
        return json_string(shown);
    }
    return NULL;
}

int config_print_json(const struct config *config, FILE *out)
{
    json_t *all = json_object();
    int result = -1;

    for (size_t i = 0; i < config_fields_len; i++) {
        const struct config_field *field = &config_fields[i];
        json_t *entry = json_pack("{s:o, s:s, s:s, s:s}", "value", value_of(config, field), "source",
                                  config_source_name(config_field_source(config, field)), "environment", field->env,
                                  "help", field->help);
        if (entry == NULL || json_object_set_new(all, field->key, entry) < 0)
            goto done;
    }
    if (json_dumpf(all, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF)
        result = 0;

done:
    json_decref(all);
    return result;
}
