# attack: Reads its own mount table: nothing of the host's folders in it, nothing writable but three, all nosuid and nodev;
# attack: what else is writable is closed.
# expect: accepted stdout="refused\n"
import os

won = []
for attempt in (lambda: os.listdir("/.run"), lambda: os.stat("/.run/box"), lambda: os.chdir("/.run"),
                lambda: os.mkdir("/.run/more"), lambda: os.chmod("/.run", 0o777), lambda: os.open("/.run/tmp", os.O_PATH),
                lambda: os.listdir("/.closed"), lambda: os.stat("/.closed/exec"), lambda: os.statvfs("/.closed/exec"),
                lambda: os.mkdir("/.closed/more")):
    try:
        attempt()
        won.append("into a closed one\n")
    except OSError:
        pass
with open("/proc/self/mountinfo", encoding="utf-8") as file:
    for line in file:
        fields = line.split()
        place, options, kind = fields[4], fields[5].split(","), line.split(" - ")[1]
        if "rw" in options and place not in ("/box", "/tmp", "/dev/shm", "/proc", "/.run", "/.closed/exec"):
            won.append(line)
        if "nosuid" not in options or ("nodev" not in options and place != "/dev"):
            won.append(line)
        for word in ("@CANARY@", "/home", "/root", "evalx-", "/var/"):
            if word in line:
                won.append(line)
        if "shared:" in line or "master:" in line:
            won.append("propagation: " + line)
print("ESCAPED:\n" + "".join(won) if won else "refused")
