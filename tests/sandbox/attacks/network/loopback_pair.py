# attack: None: a server and a client in one program; the box has no network, and the first socket fails.
# limits: {"wall_time_ms": 3000}
# expect: accepted stdout="no network\nno network\nno network\nno network\n" wall<=1500
import errno
import socket

for family in (socket.AF_INET, socket.AF_INET6):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            server = socket.socket(family, kind)
            print("opened", family, kind)
        except OSError as error:
            print("no network" if error.errno == errno.EAFNOSUPPORT else error)
