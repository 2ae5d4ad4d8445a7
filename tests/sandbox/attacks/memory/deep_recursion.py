# attack: Recursion in the interpreter with the guard taken away.
# limits: {"memory_bytes": 134217728, "cpu_time_ms": 3000}
# expect: runtime_error|memory_limit
import sys

sys.setrecursionlimit(1 << 30)
code = "(" * 90 + "1" + ")" * 90


def deeper(n):
    return [deeper(n + 1), eval(code)]


deeper(0)
