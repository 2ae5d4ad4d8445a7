"""depth: is anything slower while 100,000 submissions wait?  Each store has two servers, one with an empty queue and
one with many submissions that no worker takes.  The clients alternate between them.

bench_fill.c fills the store before its server starts, with the same calls as the API.
"""
import contextlib
import os
import subprocess

from engine import C_CODE, Client, request, right, submission
from figures import median, p99, tenth
from part_memory import NOBODY_RUNS

WAITING = 100000
AIM = 1.05
KINDS = ("SQLite", "Redis")


@contextlib.contextmanager
def sqlite_at(bench, name, fill, settings):
    server = bench.harness.Evalx(name, ["server"], bench.folder, bench.settings(settings))
    if fill:
        server.start().wait_ready().stop()  # creates the file with the right owner
        put(bench, f"sqlite:{os.path.join(server.data, 'evalx.db')}")
    try:
        yield server.start().wait_ready().port
    finally:
        server.stop()


@contextlib.contextmanager
def redis_at(bench, name, fill, settings):
    with bench.fleet(name, settings) as fleet:
        if fill:
            put(bench, f"redis://127.0.0.1:{fleet.redis.port}")
        yield fleet.api.port


def put(bench, url):
    fill = bench.target("tests/contract/bench_fill")[0]
    subprocess.run([fill, url, str(WAITING), NOBODY_RUNS], check=True, stdin=subprocess.DEVNULL)


def figure_of(client, sent, tests):
    spent, found = client.run(sent)
    right(found, tests)
    return spent


def compare(clients, rounds):
    """Figure -> (milliseconds with an empty queue, with a full one)."""
    figures = {"submit to result": (submission("c", C_CODE), 1, rounds),
               "20 tests": (submission("c", C_CODE, tests=20), 20, max(4, rounds // 8))}
    found = {}
    for name, (sent, tests, count) in figures.items():
        for client in clients:
            figure_of(client, sent, tests)
        pairs = ([], [])
        for i in range(count):
            for side in ((0, 1), (1, 0))[i % 2]:
                pairs[side].append(figure_of(clients[side], sent, tests))
        found[name] = pairs
    return found


def measure(bench, report):
    rows, bars = [], []
    for kind, at in zip(KINDS, (sqlite_at, redis_at)):
        with contextlib.ExitStack() as stack:
            settings = {"EVALX_QUEUE_MAX": str(2 * WAITING)}
            ports = [stack.enter_context(at(bench, f"depth-{kind}-{fill}", fill, settings)) for fill in (False, True)]
            clients = [stack.enter_context(Client(port)) for port in ports]
            waits = clients[1].json(request("GET", "/queue"))["waiting"]
            if waits != WAITING:
                raise SystemExit(f"bench: {waits} wait, not {WAITING}")
            found = compare(clients, bench.many(60, 400))
        for name, (empty, full) in found.items():
            rows.append({"store": kind, "figure": name, "runs": len(full), "empty_ms": median(empty),
                         "empty_p99_ms": p99(empty), "full_ms": median(full), "full_p99_ms": p99(full),
                         "ratio": median(full) / median(empty), "tenth ratio": tenth(full) / tenth(empty),
                         "p99_ratio": p99(full) / p99(empty)})
            bars += [(f"{kind}, {name}, empty", "floor", median(empty), p99(empty)),
                     (f"{kind}, {name}, full", "evalx", median(full), p99(full))]
            report.claim(f"{kind}, {name}: with {WAITING:,} waiting, times an empty queue", rows[-1]["ratio"],
                         "ratio", at_most=AIM)
    report.table(f"an empty queue, and {WAITING:,} waiting", rows)
    report.panel("empty queue, and 100,000 waiting", "ms", bars)
