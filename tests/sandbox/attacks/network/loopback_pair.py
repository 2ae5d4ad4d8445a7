# attack: None: a server and a client in one program; the box has no loopback, so they cannot meet, and are told at once.
# limits: {"wall_time_ms": 3000}
# expect: accepted stdout="unreachable\n" wall<=1500
import errno
import socket

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
client = socket.socket()
client.settimeout(1)
try:
    client.connect(server.getsockname())
    print("connected")
except OSError as error:
    print("unreachable" if error.errno == errno.ENETUNREACH else error)
