"""spread: how much the CPU time of the same program varies over repeated runs, and how much neighbours disturb it.

The neighbours are programs in all other slots: one only computes, one uses more memory than the caches hold.  Runs
alone and with each neighbour alternate.  So do two servers: one whose slots share the cores, and one whose slots have a
core each (EVALX_PIN).  With one core there is no neighbour.
"""
import contextlib
import time

from engine import Client, request, right, submission
from figures import median, p99

WORK = """#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    enum { LEN = 1 << 17 };
    unsigned *numbers = malloc(LEN * sizeof *numbers), at = 1, sum = 0;
    for (unsigned i = 0; i < LEN; i++)
        numbers[i] = i;
    for (unsigned i = 0; i < 15000000; i++) {
        at = at * 1664525 + 1013904223;
        sum += numbers[at >> 15] ^ i;
    }
    puts(sum != 1 ? "hello" : "");
}
"""
COMPUTES = "int main(void)\n{\n    for (volatile unsigned i = 0;; i++)\n        ;\n}\n"
WALKS = """#include <stdlib.h>
#include <string.h>
int main(void)
{
    enum { BYTES = 128 << 20 };
    char *from = malloc(BYTES), *to = malloc(BYTES);
    memset(from, 1, BYTES);
    for (;;)
        memcpy(to, from, BYTES);
}
"""
NEIGHBOURS = {"alone": None, "neighbour computes": COMPUTES, "neighbour copies memory": WALKS}


def start_neighbours(bench, client, code):
    tokens = []
    for _ in range(bench.cores - 1):
        sent = submission("c", code, wait=0, limits={"cpu_time_ms": 20000, "wall_time_ms": 30000,
                                                     "memory_bytes": 512 << 20})
        tokens.append(client.json(sent)["token"])
    for token in tokens:
        while client.json(request("GET", f"/submissions/{token}"))["status"] == "Queued":
            time.sleep(0.005)
    time.sleep(0.1)
    return tokens


def once(bench, client, neighbour, count):
    """(CPU, wall) milliseconds of a number of runs beside the neighbour."""
    tokens = start_neighbours(bench, client, neighbour) if neighbour else []
    found = []
    for _ in range(count):
        result = right(client.run(submission("c", WORK))[1])[0]
        found.append((result["cpu_time"] * 1000, result["wall_time"] * 1000))
    for token in tokens:
        client.json(request("DELETE", f"/submissions/{token}"))
    return found


def measure(bench, report):
    names = [name for name in NEIGHBOURS if bench.cores > 1 or name == "alone"]
    found = {(pinned, name): [] for pinned in ("no", "yes") for name in names}
    with contextlib.ExitStack() as stack:
        clients = {}
        for pinned, setting in (("no", "false"), ("yes", "true")):
            server = stack.enter_context(bench.embedded(f"spread-{pinned}", {"EVALX_PIN": setting}))
            clients[pinned] = stack.enter_context(Client(server.port))
            once(bench, clients[pinned], None, 2)
        for _ in range(bench.many(3, 10)):
            for (pinned, name), pairs in found.items():
                pairs += once(bench, clients[pinned], NEIGHBOURS[name], bench.many(5, 10))
    show(report, {key: tuple(zip(*pairs)) for key, pairs in found.items()})


def show(report, found):
    rows = []
    for (pinned, name), (cpu, wall) in found.items():
        alone = found[pinned, "alone"]
        rows.append({"pinned": pinned, "beside": name, "runs": len(cpu), "least_cpu_ms": min(cpu),
                     "cpu_ms": median(cpu), "cpu_p99_ms": p99(cpu), "p99/median": p99(cpu) / median(cpu),
                     "wall_ms": median(wall), "wall_p99_ms": p99(wall),
                     "cpu, times alone": median(cpu) / median(alone[0]),
                     "wall, times alone": median(wall) / median(alone[1])})
    report.table("CPU time of the same program", rows)
    bars = []
    for row in rows:
        words = "pinned, " * (row["pinned"] == "yes") + row["beside"]
        bars.append((words, "floor" if row["beside"] == "alone" else "evalx", row["cpu_ms"], row["cpu_p99_ms"]))
        report.claim(f"CPU time, {words}: p99 of the median", row["p99/median"], "ratio")
        if row["beside"] != "alone":
            report.claim(f"CPU time, {words}: times alone", row["cpu, times alone"], "ratio")
    report.panel("CPU time of the same program", "ms", bars)
