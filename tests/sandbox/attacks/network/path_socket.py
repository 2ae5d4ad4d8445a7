# attack: Connects to a socket of the host that lies in a folder open to all, by every path that might lead there.
# expect: accepted stdout="refused\n"
import socket

won = []
for path in ("@CANARY@/open/socket", "/proc/1/root@CANARY@/open/socket", "/box/../..@CANARY@/open/socket",
             "/run/systemd/private", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/dev/log"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as link:
            try:
                link.connect(path)
                won.append(path)
            except OSError:
                pass
print("ESCAPED:" + str(won) if won else "refused")
