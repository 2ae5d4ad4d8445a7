/*
 * notify: tells systemd how this process is: started, alive, ending.  Outside systemd every call does nothing.
 *
 * The protocol of sd_notify(3) is one datagram of "NAME=value" lines to the socket that NOTIFY_SOCKET names, stable and
 * documented for others to implement.  It is spoken here and not by libsystemd, because that library would come with
 * compression, hashing and its own threads' locks into a process that starts as root and holds the queue's password;
 * for 30 lines that is too much (the back door in xz of 2024 reached sshd by exactly that way).
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
    socklen_t address_len; /* 0: nobody asked */
    uint64_t beat_us; /* how often it has to be told that we live: a quarter of what WATCHDOG_USEC allows; 0: not */
    uint64_t next_beat_us;
};

/* From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void sd_notify_open(struct sd_notify *sd_notify);

/* The start is over; `status` is what `systemctl status` shows. */
void sd_notify_ready(struct sd_notify *sd_notify, const char *status);

/* Is a sign of life due?  Whoever is told so looks whether there is life, and only then calls sd_notify_alive. */
bool sd_notify_is_due(const struct sd_notify *sd_notify);
void sd_notify_alive(struct sd_notify *sd_notify);

/* Ending may take so long: neither the watchdog nor the unit's TimeoutStopSec is to end it before. */
void sd_notify_stopping(struct sd_notify *sd_notify, uint64_t patience_s);
