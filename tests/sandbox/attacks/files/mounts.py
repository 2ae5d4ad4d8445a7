# attack: Reads its own mount table: nothing of the host's folders in it, nothing writable but three, all nosuid and nodev.
# expect: accepted stdout="refused\n"
won = []
with open("/proc/self/mountinfo", encoding="utf-8") as file:
    for line in file:
        fields = line.split()
        place, options, kind = fields[4], fields[5].split(","), line.split(" - ")[1]
        if "rw" in options and place not in ("/box", "/tmp", "/dev/shm", "/proc"):
            won.append(line)
        if "nosuid" not in options or ("nodev" not in options and place != "/dev"):
            won.append(line)
        for word in ("@CANARY@", "/home", "/root", "evalx-", "/var/"):
            if word in line:
                won.append(line)
        if "shared:" in line or "master:" in line:
            won.append("propagation: " + line)
print("ESCAPED:\n" + "".join(won) if won else "refused")
