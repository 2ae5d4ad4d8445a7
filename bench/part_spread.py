"""spread: how far the CPU time of the same program spreads over repeated runs, and by how much a neighbour disturbs it.

The neighbours are programs in all other slots: one that only computes, and one that goes through more memory than the
caches hold.  Alone and with each neighbour alternate.  With one core there is no neighbour.
"""
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


def measure(bench, report):
    sent = submission("c", WORK)
    found = {name: ([], []) for name in NEIGHBOURS if bench.cores > 1 or name == "alone"}
    with bench.embedded("spread") as server, Client(server.port) as client:
        right(client.run(sent)[1])
        for _ in range(bench.many(3, 10)):
            for name, (cpu, wall) in found.items():
                tokens = start_neighbours(bench, client, NEIGHBOURS[name]) if NEIGHBOURS[name] else []
                for _ in range(bench.many(5, 10)):
                    result = right(client.run(sent)[1])[0]
                    cpu.append(result["cpu_time"] * 1000)
                    wall.append(result["wall_time"] * 1000)
                for token in tokens:
                    client.json(request("DELETE", f"/submissions/{token}"))
    show(report, found)


def show(report, found):
    alone, rows = found["alone"], []
    for name, (cpu, wall) in found.items():
        rows.append({"beside": name, "runs": len(cpu), "least_cpu_ms": min(cpu), "cpu_ms": median(cpu),
                     "cpu_p99_ms": p99(cpu), "p99/median": p99(cpu) / median(cpu), "wall_ms": median(wall),
                     "wall_p99_ms": p99(wall), "cpu, times alone": median(cpu) / median(alone[0]),
                     "wall, times alone": median(wall) / median(alone[1])})
    report.table("CPU time of the same program", rows)
    report.panel("CPU time of the same program", "ms",
                 [(row["beside"], "floor" if row["beside"] == "alone" else "evalx", row["cpu_ms"], row["cpu_p99_ms"])
                  for row in rows])
    report.claim("CPU time of repeated runs, p99 of the median", rows[0]["p99/median"], "ratio")
    for row in rows[1:]:
        report.claim(f"CPU time, {row['beside']}, times alone", row["cpu, times alone"], "ratio")
