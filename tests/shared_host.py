"""shared_host: what tests take from the host they share, so that several test runs can work side by side.

Standard library only.  shared_host.h is the same for the tests in C.
"""
import os
import random
import socket

# Sanitized builds, emulated and busy machines: how many times slower than a machine of our own they are.  All patience
# of the tests is multiplied by this.
SLOWNESS = float(os.environ.get("EVALX_TEST_SLOWNESS", "1"))
UID_SPAN = 10000
# Below the range from which the kernel takes ports for outgoing connections (32768 upwards), so that none of those can
# take a port between its choice here and the start of the server.
PORTS = range(10000, 32768)


def free_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def free_uids():
    """The first of UID_SPAN user ids, far from the default range of evalx and from that of other test runs."""
    return 1_000_000_000 + random.randrange(80_000) * UID_SPAN
