/* announce: see the header. */
#include "daemon/announce.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

void announce_access(const struct config *config, size_t keys, char ret[ANNOUNCE_ACCESS_BYTES])
{
    if (keys > 0)
        (void)snprintf(ret, ANNOUNCE_ACCESS_BYTES, "with-one-of-%zu-API-keys", keys);
    else
        (void)snprintf(ret, ANNOUNCE_ACCESS_BYTES, "%s",
                       config_listens_on_loopback(config) ? "every-program-on-this-machine"
                                                          : "everyone-who-reaches-the-address");
}

static bool is_earlier_image(const struct languages *languages, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (languages->list[i].available && text_equal(languages->list[i].image, languages->list[at].image))
            return true;
    return false;
}

void announce_view(const struct languages *languages, char ret[ANNOUNCE_VIEW_BYTES])
{
    char images[ANNOUNCE_VIEW_BYTES / 2] = "";
    bool has_host = false;
    size_t len = 0;

    for (size_t i = 0; i < languages->len; i++) {
        const struct language *language = &languages->list[i];
        if (!language->available || is_earlier_image(languages, i))
            continue;
        has_host |= text_equal(language->image, TEXT("host"));
        if (len < sizeof images)
            len += (size_t)snprintf(images + len, sizeof images - len, "%s%.*s", len > 0 ? "," : "",
                                    TEXT_ARG(language->image));
    }
    (void)snprintf(ret, ANNOUNCE_VIEW_BYTES, " images=%s host_folders=%s network=none,loopback-on-request", images,
                   has_host ? "parts-of-/usr,parts-of-/etc" : "none");
}

void announce_risk(const struct config *config, const char *address, size_t keys)
{
    if (keys == 0 && !config_listens_on_loopback(config))
        log_warn("everyone who reaches %s can run programs here, because no API key is needed: set api_keys_file, or "
                 "listen on 127.0.0.1",
                 address);
}
