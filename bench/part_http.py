"""http: the time from the first byte of a submission to the last byte of its result, without the run; idle server.

The C program is in the artifact cache.  The wall time that evalx reports for the run is subtracted.  Both ways of
asking alternate with each other, and with the same program started by posix_spawn.
"""
import contextlib
import time

from engine import C_CODE, Client, right, submission
from figures import median, p99, tenth

PAUSE_S = 0.003  # a client does not send its next request in the same microsecond
NAMES = {"sqlite": "SQLite", "redis": "Redis (appendfsync everysec)"}
WAYS = {"POST ?wait": "run", "POST, GET ?wait": "run_by_get"}


def measure(bench, report):
    hello, rows = bench.hello(), []
    spent = {(kind, way): ([], []) for kind in NAMES for way in WAYS}
    base = []
    with contextlib.ExitStack() as stack:
        clients = {}
        for kind in NAMES:
            server = stack.enter_context(bench.store(kind, "http-" + kind))
            clients[kind] = stack.enter_context(Client(server.port))
        sent = {way: submission("c", C_CODE, wait=30 if name == "run" else 0) for way, name in WAYS.items()}
        for i in range(bench.many(20, 100)):
            base += bench.floor_ms(5, hello)
            for (kind, way), (whole, run) in spent.items():
                for _ in range(5):
                    time.sleep(PAUSE_S)
                    took, found = getattr(clients[kind], WAYS[way])(sent[way])
                    run_ms = right(found)[0]["wall_time"] * 1000
                    if i > 0:  # the first ones compile
                        whole.append(took)
                        run.append(run_ms)
    for (kind, way), (whole, run) in spent.items():
        around = [a - b for a, b in zip(whole, run)]
        rows.append({"store": NAMES[kind], "asked by": way, "runs": len(whole), "run_ms": median(run),
                     "submit_to_result_ms": median(whole), "p99_ms": p99(whole), "around_the_run_ms": median(around),
                     "around_p99_ms": p99(around), "around_tenth_ms": tenth(around), "floor_ms": median(base),
                     "floor_p99_ms": p99(base), "ratio": median(whole) / median(base)})
        report.claim(f"{NAMES[kind]}, {way}: around the run", median(around), "ms", at_most=1)
    report.table("submit to result", rows)
    report.panel("submit to result over HTTP, less the run", "ms",
                 [(f"{row['store'].split()[0]}, {row['asked by']}", "evalx", row["around_the_run_ms"],
                   row["around_p99_ms"]) for row in rows], aim=1)
