"""throughput: runs per second on a full machine, through API, Redis and worker, compared with plain posix_spawn (the
floor); and 20 tests of one submission, with one slot and with one per core.

Clients, API server, Redis and worker share the cores with the programs.  `remaining` is the share of CPU time that
these four leave to the programs, and the floor is scaled by it.  The launcher and the slots are not among the four,
because the time of the sandbox counts as our own.  `namespaces` is the minimum that fresh namespaces and a fresh memory
group cost the kernel (floor_namespaces.c).
"""
import contextlib
import time

from engine import C_CODE, Client, right, submission
from figures import median, p99
from languages import STATIC_C, host_languages
from processes import cpu_s

CLIENTS = 4
TESTS = 20
WORK = """#include <stdio.h>
int main(void)
{
    volatile unsigned sum = 0;
    for (unsigned i = 0; i < 20000000; i++)
        sum += i;
    puts("hello");
}
"""


def window(bench, port, tests, seconds, language="c"):
    """(runs, seconds) of clients that submit repeatedly."""
    sent = submission(language, C_CODE, tests=tests)
    begin = time.perf_counter()

    def user(_):
        done = 0
        with Client(port) as client:
            while time.perf_counter() < begin + seconds:
                right(client.run(sent)[1], tests)
                done += tests
        return done

    done = sum(bench.harness.in_threads(CLIENTS, user))
    return done, time.perf_counter() - begin


def full_machine(bench, fleet, language, tests, hello):
    others = [fleet.api.pid, fleet.redis.pid, *(worker.pid for worker in fleet.workers)]
    base, isolated, ours, remaining = [], [], [], []
    window(bench, fleet.api.port, tests, 0.5, language)
    for _ in range(bench.many(2, 4)):
        base.append(bench.floor_rate(bench.many(300, 800), bench.cores, hello))
        isolated.append(bench.floor_rate(bench.many(300, 800), bench.cores, hello, namespaces=True))
        before = [cpu_s(pid) for pid in others]
        own = time.process_time()
        done, seconds = window(bench, fleet.api.port, tests, bench.many(1.5, 4), language)
        spent = time.process_time() - own + sum(cpu_s(pid) for pid in others) - sum(before)
        ours.append(done / seconds)
        remaining.append(1 - spent / (seconds * bench.cores))
    runs, floor = median(ours), median(base)
    return {"program": "static C" if language == STATIC_C else "C", "tests a submission": tests, "clients": CLIENTS,
            "floor_runs_per_s": floor, "namespaces_runs_per_s": median(isolated), "runs_per_s": runs,
            "ratio": runs / floor,
            "remaining": median(remaining),
            "of what remains": median(r / (b * part) for r, b, part in zip(ours, base, remaining)),
            "of fresh namespaces": median(r / (w * part) for r, w, part in zip(ours, isolated, remaining))}


def side_by_side(bench, name, code, rounds):
    """TESTS tests of one submission with one slot and with one per core, alternating."""
    sent = submission("c", code, tests=TESTS)
    spent = {1: [], bench.cores: []}
    with contextlib.ExitStack() as stack:
        clients = {}
        for slots in spent:
            settings = {"EVALX_SLOTS": str(slots)}
            fleet = stack.enter_context(bench.fleet(f"tests-{name}-{slots}", settings))
            clients[slots] = stack.enter_context(Client(fleet.api.port))
            right(clients[slots].run(sent)[1], TESTS)
        for _ in range(rounds):
            for slots, client in clients.items():
                took, found = client.run(sent)
                right(found, TESTS)
                spent[slots].append(took)
    one, all_cores = spent[1], spent[bench.cores]
    return {"program": name, "tests": TESTS, "one_slot_ms": median(one), "one_slot_p99_ms": p99(one),
            "slots": bench.cores, "slots_ms": median(all_cores), "slots_p99_ms": p99(all_cores),
            "times as fast": median(one) / median(all_cores)}


def measure(bench, report):
    static, dynamic = bench.hello("-static"), bench.hello()
    with bench.fleet("throughput", {"EVALX_LANGUAGES": host_languages(bench)}) as fleet:
        rows = [full_machine(bench, fleet, STATIC_C, 1, static), full_machine(bench, fleet, STATIC_C, TESTS, static),
                full_machine(bench, fleet, "c", TESTS, dynamic)]
    report.table("a full machine: C through API, Redis and worker", rows)
    bars = []
    for row in rows:
        name = f"{row['program']}, {row['tests a submission']} a submission"
        bars += [(f"{row['program']}, posix_spawn", "floor", row["floor_runs_per_s"]),
                 (name, "evalx", row["runs_per_s"])]
        report.claim(f"{name}: runs a second, of the floor that remains", row["of what remains"], "ratio",
                     at_least=0.6)
        report.claim(f"{name}: the same, of posix_spawn with fresh namespaces", row["of fresh namespaces"], "ratio")
    report.panel("runs a second of a full machine", "runs/s", bars)
    if bench.cores < 2:
        report.note("one core: tests side by side are not measured")
        return
    rows = [side_by_side(bench, "hello", C_CODE, bench.many(8, 40)),
            side_by_side(bench, "20 million additions", WORK, bench.many(3, 12))]
    report.table("20 tests of one submission", rows)
    bars = []
    for row in rows:
        bars += [(f"{row['program']}, 1 slot", "floor", row["one_slot_ms"], row["one_slot_p99_ms"]),
                 (f"{row['program']}, {bench.cores} slots", "evalx", row["slots_ms"], row["slots_p99_ms"])]
        report.claim(f"20 tests ({row['program']}) on {bench.cores} cores, times as fast as on one",
                     row["times as fast"], "times")
    report.panel("20 tests of one submission", "ms", bars)
