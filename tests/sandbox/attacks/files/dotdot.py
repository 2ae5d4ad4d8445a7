# attack: Climbs out of every folder it can stand in, by name, by descriptor and by a folder that moves meanwhile.
# expect: accepted stdout="refused\n"
import os

won = []
for start in ("/box", "/tmp", "/dev/shm", "/usr/lib", "/proc/self", "/proc/self/fd", "/proc/self/cwd", "/"):
    path = start + "/.." * 40 + "@CANARY@/secret"
    if os.path.exists(path):
        won.append(path)
    fd = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(40):
        fd = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
    if sorted(os.listdir(fd)) != sorted(os.listdir("/")):
        won.append(f"above {start} lies {os.listdir(fd)}")
os.makedirs("/tmp/a/b")
inner = os.open("/tmp/a/b", os.O_RDONLY)
os.rename("/tmp/a/b", "/tmp/b")
for _ in range(10):
    inner = os.open("..", os.O_RDONLY, dir_fd=inner)
if sorted(os.listdir(inner)) != sorted(os.listdir("/")):
    won.append("by rename")
print("ESCAPED:" + str(won) if won else "refused")
