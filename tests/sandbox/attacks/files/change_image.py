# attack: Changes times, modes, owners and attributes of files and folders of the image.
# expect: accepted stdout="refused\n"
import ctypes
import os

won = []
for path in ("/", "/usr", "/usr/bin/env", "/etc/passwd", "/bin", "/dev", "/dev/null", "/proc", "/usr/lib", "/etc"):
    attempts = (lambda: os.utime(path), lambda: os.chmod(path, 0o777), lambda: os.chown(path, 1000, 1000),
                lambda: os.setxattr(path, "user.x", b"x"), lambda: os.truncate(path, 0),
                lambda: os.chmod(os.open(path, os.O_RDONLY), 0o777))
    for number, attempt in enumerate(attempts):
        try:
            attempt()
            if (path, number) != ("/dev/null", 4):
                won.append((path, number))
        except OSError:
            pass
print("ESCAPED:" + str(won) if won else "refused")
