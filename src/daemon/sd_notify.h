/*
 * sd_notify: reports the state of this process to systemd: ready, alive, stopping.  Without systemd it does nothing.
 *
 * The protocol of sd_notify(3) is stable and documented for reimplementation: a datagram of "NAME=value" lines to the
 * socket NOTIFY_SOCKET.  evalx does not link libsystemd for these 30 lines, because that library brings compression
 * and hashing code into a process that starts as root and holds the password of the queue.  The xz back door of 2024
 * reached sshd that way.
 *
 * Main thread only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct sd_notify {
    struct sockaddr_un address;
    socklen_t address_len; /* 0: no service manager */
    uint64_t beat_us;      /* interval of watchdog notifications: a quarter of WATCHDOG_USEC; 0: no watchdog */
    uint64_t next_beat_us;
};

/* From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void sd_notify_open(struct sd_notify *sd_notify);

/* Reports that the start is complete, with `status` as the line that `systemctl status` shows. */
void sd_notify_ready(struct sd_notify *sd_notify, const char *status);

/* True if a keep-alive is due.  The caller then checks that the process works, and only then calls sd_notify_alive. */
bool sd_notify_is_due(const struct sd_notify *sd_notify);
void sd_notify_alive(struct sd_notify *sd_notify);

/* The stop may take up to timeout_s.  This extends TimeoutStopSec of the unit and the watchdog. */
void sd_notify_stopping(struct sd_notify *sd_notify, uint64_t timeout_s);
