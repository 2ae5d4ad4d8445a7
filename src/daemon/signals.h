/* signals: ignores a signal.  Call it after the launcher has started, because programs inherit ignored signals. */
#pragma once
#include <signal.h>
#include <stddef.h>

static inline void signal_ignore(int number)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN };

    (void)sigaction(number, &ignore, NULL);
}
