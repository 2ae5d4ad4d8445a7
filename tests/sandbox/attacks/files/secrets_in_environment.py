# attack: Looks for anything of the service in its environment, its arguments and its limits.
# expect: accepted stdout="refused\n"
import os

won = [name for name in os.environ if name not in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE")]
won += [name for name, value in os.environ.items() if "@CANARY@" in value or "evalx" in value.lower()]
with open("/proc/self/environ", "rb") as file:
    if b"EVALX" in file.read():
        won.append("environ")
print("ESCAPED:" + str(won) if won else "refused")
