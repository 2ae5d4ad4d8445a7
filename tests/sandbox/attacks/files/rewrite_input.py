# attack: Changes its own input, which other runs of the batch may share.
# stdin: "the input\n"
# copies: 3
# expect: accepted stdout="the input\n"
import os
import sys

text = sys.stdin.read()
for path in ("/proc/self/fd/0", "/dev/stdin"):
    for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND):
        try:
            fd = os.open(path, flags)
            os.pwrite(fd, b"ESCAPED!!", 0)
        except OSError:
            pass
try:
    os.ftruncate(0, 0)
except OSError:
    pass
print(text, end="")
