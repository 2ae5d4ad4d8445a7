# attack: Complains without end.
# limits: {"output_bytes": 65536, "cpu_time_ms": 3000}
# expect: output_limit stdout="" stderr~"^(no!\\n){16384}$"
import sys

while True:
    sys.stderr.write("no!\n" * 1000)
