# attack: Looks for the group that limits it: its files, its name, its neighbours, and a way to mount it.
# expect: accepted stdout="refused\n"
import ctypes
import os

won = []
for top in ("/sys/fs/cgroup", "/cgroup", "/run/cgroup"):
    if os.path.exists(top):
        won.append(top)
with open("/proc/self/cgroup", encoding="utf-8") as file:
    for line in file:
        if "evalx" in line or "slot" in line or "run-" in line:
            won.append(line.strip())
libc = ctypes.CDLL(None, use_errno=True)
for kind in (b"cgroup", b"cgroup2"):
    if libc.mount(b"x", b"/tmp", kind, 0, None) == 0:
        won.append("mount")
print("ESCAPED:" + str(won) if won else "refused")
