# attack: Names that hurt scripts which list or remove them: newlines, options, half characters, globs.
# expect: accepted stdout="left\n"
import os

for folder in (b"/box/", b"/tmp/", b"/dev/shm/"):
    for name in (b"-rf", b"--", b"a\nb", b"$(reboot)", b"`reboot`", b"; rm x", b"\xff\xfe", b"..x", b" ", b"*", b"~"):
        os.mkdir(folder + name)
        open(folder + name + b"/" + name, "wb").close()
print("left")
