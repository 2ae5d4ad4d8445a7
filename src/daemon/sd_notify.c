/* sd_notify: see the header. */
#include "daemon/sd_notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define BEATS 4u /* notifications per watchdog interval */

/* A path, or "@name" in the abstract namespace.  Other forms (vsock) are for whole virtual machines. */
static bool read_address(const char *name, struct sd_notify *sd_notify)
{
    size_t len = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof sd_notify->address.sun_path)
        return false;
    sd_notify->address.sun_family = AF_UNIX;
    memcpy(sd_notify->address.sun_path, name, len);
    if (name[0] == '@')
        sd_notify->address.sun_path[0] = '\0';
    sd_notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
    return true;
}

void sd_notify_open(struct sd_notify *sd_notify)
{
    const char *name = getenv("NOTIFY_SOCKET");
    const char *interval = getenv("WATCHDOG_USEC"), *watched_pid = getenv("WATCHDOG_PID");
    uint64_t interval_us, pid;

    *sd_notify = (struct sd_notify){ 0 };
    if (name == NULL || name[0] == '\0')
        return;
    if (!read_address(name, sd_notify)) {
        log_warn("NOTIFY_SOCKET: expected a path or @NAME, got \"%.100s\"; the service manager is not notified", name);
        return;
    }
    if (interval == NULL || text_parse_u64(text_of(interval), &interval_us) < 0)
        return;
    /* The variables may be inherited from the process that systemd watches. */
    if (watched_pid != NULL && (text_parse_u64(text_of(watched_pid), &pid) < 0 || pid != (uint64_t)getpid()))
        return;
    sd_notify->beat_us = interval_us / BEATS;
}

static void send_lines(const struct sd_notify *sd_notify, const char *lines)
{
    /* The manager may be busy for a moment, but must not block this thread for long. */
    const struct timeval timeout = { .tv_sec = 2 };

    if (sd_notify->address_len == 0)
        return;
    auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) < 0 ||
        sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&sd_notify->address,
               sd_notify->address_len) < 0)
        log_warn("cannot notify the service manager: %s", strerror(errno));
}

void sd_notify_ready(struct sd_notify *sd_notify, const char *status)
{
    char lines[256];

    (void)snprintf(lines, sizeof lines, "READY=1\nSTATUS=%.200s", status);
    send_lines(sd_notify, lines);
    sd_notify->next_beat_us = clock_mono_us() + sd_notify->beat_us;
}

bool sd_notify_is_due(const struct sd_notify *sd_notify)
{
    return sd_notify->beat_us > 0 && clock_mono_us() >= sd_notify->next_beat_us;
}

void sd_notify_alive(struct sd_notify *sd_notify)
{
    send_lines(sd_notify, "WATCHDOG=1");
    sd_notify->next_beat_us = clock_mono_us() + sd_notify->beat_us;
}

void sd_notify_stopping(struct sd_notify *sd_notify, uint64_t timeout_s)
{
    uint64_t timeout_us = timeout_s * 1000000;
    char lines[256];
    int len = snprintf(lines, sizeof lines, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%" PRIu64, timeout_us);

    if (sd_notify->beat_us > 0)
        (void)snprintf(lines + len, sizeof lines - (size_t)len, "\nWATCHDOG=1\nWATCHDOG_USEC=%" PRIu64, timeout_us);
    send_lines(sd_notify, lines);
}
