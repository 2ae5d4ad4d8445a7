/* Files an operator writes: evalx.conf (first byte even) and a language file (odd). */
#include "fuzz.h"

#include "config/ini_file.h"
#include "model/language_file.h"

static int take(void *context, const struct ini_entry *entry, struct error *err)
{
    return config_set(context, entry->key, entry->value, CONFIG_FILE, err);
}

static void try_language(struct text text)
{
    struct command_values values = {
        .source = TEXT("main.c"),
        .binary = TEXT("main"),
        .memory_bytes = 1 << 28,
        .args = &TEXT("a"),
        .args_len = 1,
        .files = &TEXT("-b.c"),
        .files_len = 1,
    };
    struct languages read;
    struct error err = { 0 };
    char **argv;

    assert(languages_init(&read, &err) == 0);
    if (language_text_read(text, "x.conf", fuzz_config(), NULL, &read, &err) < 0)
        assert(err.kind == ERROR_SETUP && text_is_utf8(text_of(err.text)));
    for (size_t i = 0; i < read.len; i++) {
        const struct language *language = &read.list[i];
        if (command_expand(&language->compile, &values, &read.arena, &argv, &err) < 0 ||
            command_expand(&language->run, &values, &read.arena, &argv, &err) < 0)
            assert(err.kind == ERROR_REQUEST); /* a word that grew too long */
        else
            assert(argv[0] != NULL && argv[0][0] == '/');
    }
    languages_done(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct config config = *fuzz_config();
    struct error err = { 0 };
    char *printed = NULL;
    size_t printed_len;

    if (len < 1)
        return 0;
    struct text text = { (const char *)bytes + 1, len - 1 };
    if (bytes[0] % 2 == 1) {
        try_language(text);
        return 0;
    }
    if (ini_text_read(text, "evalx.conf", take, &config, &err) < 0)
        assert(err.kind == ERROR_SETUP && text_is_utf8(text_of(err.text)));
    FILE *out = open_memstream(&printed, &printed_len);
    config_print(&config, out);
    assert(config_print_json(&config, out) == 0);
    fclose(out);
    free(printed);
    return 0;
}
