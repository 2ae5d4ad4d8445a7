# attack: Looks for a neighbour who runs at the same time: processes, files, sockets, locks on files they share, users.
# beside: neighbour_victim.py
# delay: 300
# expect: accepted stdout="refused\n"
import fcntl
import os
import socket

won = []
if len([name for name in os.listdir("/proc") if name.isdigit()]) > 1:
    won.append("processes")
for folder in ("/box", "/tmp", "/dev/shm"):
    if "plum-jam" in os.listdir(folder):
        won.append(folder)
try:
    socket.socket(socket.AF_UNIX).connect("\0plum-jam")
    won.append("socket")
except OSError:
    pass
for path in ("/usr/bin/env", "/etc/ld.so.cache", "/etc/passwd", "/dev/null", "/usr/lib/os-release"):
    try:
        if os.path.exists(path):
            fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        won.append(f"lock on {path}: {error}")
for fd in (0, 1, 2):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        won.append(f"lock on stream {fd}: {error}")
print("ESCAPED:" + str(won) if won else "refused")
