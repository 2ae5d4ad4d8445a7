/* fields: CONFIG_LIST of config.h as a table, for config.c, its JSON printer and the tests. */
#pragma once
#include "base/buf.h"
#include "config/config.h"

enum config_type { CONFIG_TYPE_OF_STRING, CONFIG_TYPE_OF_SECRET, CONFIG_TYPE_OF_UINT, CONFIG_TYPE_OF_BOOL };

struct config_field {
    const char *key, *env, *standard, *help;
    enum config_type type;
    size_t at, source_at; /* offsets in struct config */
};

extern const struct config_field config_fields[];
extern const size_t config_fields_len;

const char *config_source_name(enum config_source source); /* "default", "file", "environment", "flag", ... */
enum config_source config_field_source(const struct config *config, const struct config_field *field);

/* The value for display: secrets and passwords in URLs are masked. */
#define CONFIG_SHOWN_BYTES (CONFIG_STRING_BYTES + 8)
void config_field_show(const struct config *config, const struct config_field *field, char ret[CONFIG_SHOWN_BYTES]);

/* "redis://user:secret@host,redis://..." -> "redis://user:***@host,..." */
void config_mask(const char *value, char ret[CONFIG_SHOWN_BYTES]);
