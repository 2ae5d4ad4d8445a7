# attack: Reaches the folders below the image's overlays by names their mount options mention.
# expect: accepted stdout="refused\n"
import os
import re

won = []
with open("/proc/self/mountinfo", encoding="utf-8") as file:
    for path in re.findall(r"(?:lowerdir|upperdir|workdir)=([^ ,\n]*)", file.read()):
        for part in path.split(":"):
            if not re.fullmatch(r"/proc/self/fd/\d+", part) or os.path.exists(part):
                won.append(part)
print("ESCAPED:" + str(won) if won else "refused")
