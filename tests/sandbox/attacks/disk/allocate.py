# attack: Reserves far more space than the box has.
# expect: accepted stdout="refused\n"
import os
import signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
won = 0
for folder in ("/box", "/tmp", "/dev/shm"):
    fd = os.open(folder + "/big", os.O_RDWR | os.O_CREAT)
    try:
        os.posix_fallocate(fd, 0, 2 << 30)
        won += 1
    except OSError:
        pass
print("ESCAPED" if won else "refused")
