/* signals: those that must not end this process.  Only after the launcher has been started: programs inherit it. */
#pragma once
#include <signal.h>
#include <stddef.h>

static inline void signal_ignore(int number)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN };

    (void)sigaction(number, &ignore, NULL);
}
