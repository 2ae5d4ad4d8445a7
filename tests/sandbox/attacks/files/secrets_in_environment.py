# attack: Looks for anything of the service in its environment, its arguments and its limits.
# expect: accepted stdout="refused\n"
import os

expected = ("PATH", "HOME", "LANG", "TMPDIR", "LC_CTYPE", "ONLINE_JUDGE", "PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS",
            "OMP_NUM_THREADS", "MPLBACKEND")
won = [name for name in os.environ if name not in expected]
won += [name for name, value in os.environ.items() if "@CANARY@" in value or "evalx" in value.lower()]
with open("/proc/self/environ", "rb") as file:
    if b"EVALX" in file.read():
        won.append("environ")
print("ESCAPED:" + str(won) if won else "refused")
