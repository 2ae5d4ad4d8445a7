/* JSON of clients, before it is parsed.  For every text that is JSON the scan and the parsed values must agree. */
#include "fuzz.h"

#include <jansson.h>

#include "codec/json_scan.h"

struct count {
    size_t values, names_max, depth_max;
};

static void count(const json_t *json, size_t depth, struct count *ret)
{
    const char *name;
    json_t *value;

    ret->values++;
    if (!json_is_object(json) && !json_is_array(json))
        return;
    if (++depth > ret->depth_max)
        ret->depth_max = depth;
    if (json_object_size(json) > ret->names_max)
        ret->names_max = json_object_size(json);
    ret->values += json_object_size(json);
    json_object_foreach((json_t *)json, name, value) count(value, depth, ret);
    for (size_t i = 0; i < json_array_size(json); i++)
        count(json_array_get(json, i), depth, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct text text = { (const char *)bytes, len };
    struct error err = { 0 };
    bool is_small = json_scan(text, &err) == 0;
    json_t *json = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    struct count found = { 0 };

    assert(is_small || (err.kind == ERROR_REQUEST && err.text[0] != '\0' && text_is_utf8(text_of(err.text))));
    if (json == NULL)
        return 0;
    count(json, 0, &found);
    assert(is_small == (found.values <= JSON_SCAN_VALUES_MAX && found.names_max <= JSON_SCAN_NAMES_MAX &&
                        found.depth_max <= JSON_SCAN_DEPTH_MAX));
    json_decref(json);
    return 0;
}
