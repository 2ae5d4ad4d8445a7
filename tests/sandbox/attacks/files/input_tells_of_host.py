# attack: Asks its empty input for its inode, device, owner and times: nothing of them is the host's.
# expect: accepted stdout="refused\n"
import os
import stat
import time

won = []
for fd in (0, 1, 2):
    status = os.fstat(fd)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
        won.append(("kind", fd, stat.filemode(status.st_mode)))
    if time.time() - status.st_mtime > 60 or time.time() - status.st_ctime > 60:
        won.append(("times", fd))
print("ESCAPED:" + str(won) if won else "refused")
