# attack: None: has a secret in its input, arguments, memory and files while neighbour_thief.py looks for it.
# part: yes
# stdin: "the victim's secret is plum-jam\n"
# args: ["plum-jam"]
# limits: {"wall_time_ms": 5000}
# expect: accepted stdout="kept\n"
import fcntl
import os
import socket
import sys
import time

text = sys.stdin.read()
for folder in ("/box", "/tmp", "/dev/shm"):
    open(folder + "/plum-jam", "w").write(text)
server = socket.socket(socket.AF_UNIX)
server.bind("\0plum-jam")
server.listen()
paths = ("/usr/bin/env", "/etc/ld.so.cache", "/etc/passwd", "/dev/null", "/usr/lib/os-release")
held = [os.open(path, os.O_RDONLY) for path in paths if os.path.exists(path)]
for fd in held:
    fcntl.flock(fd, fcntl.LOCK_EX)
fcntl.flock(0, fcntl.LOCK_EX)
time.sleep(0.9 * @SLOW@)
print("kept" if os.path.exists("/tmp/plum-jam") else "ESCAPED: the neighbour removed it")
