"""memory: the memory of server, worker and slots, idle and under load; the time until evalx is ready; 10,000 waiting
clients.

PSS counts a page that n processes share as one n-th, so it adds up; RSS counts it n times.
"""
import os
import resource
import socket
import subprocess
import threading
import time

from engine import C_CODE, Client, element, request, right, submission
from figures import median, p99
from languages import program_of
from part_throughput import window
from processes import below, memory, memory_of_all

MANY_SLOTS = 8
WAITING_CLIENTS = 10000
NOBODY_RUNS = "ada"  # a language without an image here, so its submissions wait


def measure(bench, report):
    footprints(bench, report)
    readiness(bench, report)
    waiting(bench, report)


# ---- memory of the processes ----

def look(fleet):
    """Part of the fleet -> (RSS, PSS) in MiB."""
    worker = fleet.workers[0].pid
    found = {"API server": memory(fleet.api.pid), "worker": memory(worker),
             "launcher and slots": memory_of_all(below(worker))}
    return {name: tuple(kib / 1024 for kib in pair) for name, pair in found.items()}


def under(bench, fleet, seconds):
    """The maximum of each while clients keep the fleet busy."""
    thread = threading.Thread(target=window, args=(bench, fleet.api.port, 20, seconds))
    thread.start()
    most = look(fleet)
    while thread.is_alive():
        time.sleep(0.1)
        for name, pair in look(fleet).items():
            most[name] = tuple(max(a, b) for a, b in zip(most[name], pair))
    thread.join()
    return most


def with_slots(bench, slots):
    with bench.fleet(f"memory-{slots}", {"EVALX_SLOTS": str(slots)}) as fleet:
        time.sleep(0.5)
        idle = look(fleet)
        with Client(fleet.api.port) as client:
            sent = submission("python", program_of("Python", "print('hello')"), tests=4 * slots)
            for _ in range(3):
                right(client.run(sent)[1], 4 * slots)
        time.sleep(0.5)
        prestarted = look(fleet)
        return {"idle": idle, "interpreters waiting": prestarted, "under load": under(bench, fleet, bench.many(1.5, 5))}


def footprints(bench, report):
    few, many = with_slots(bench, bench.cores), with_slots(bench, MANY_SLOTS + bench.cores)
    rows = []
    for state, found in few.items():
        for name, (rss, pss) in found.items():
            rows.append({"slots": bench.cores, "when": state, "what": name, "rss_mib": rss, "pss_mib": pss})
    report.table("memory", rows)
    rows = []
    for state in ("idle", "interpreters waiting", "under load"):
        held = [sum(pair[1] for pair in found[state].values()) for found in (few, many)]
        rows.append({"when": state, "pss_mib a slot more": (held[1] - held[0]) / MANY_SLOTS})
    report.table(f"memory of one slot more (of {MANY_SLOTS} more)", rows)
    bars = [(f"{name}, {state}", "evalx", found[name][1]) for name in few["idle"]
            for state, found in few.items() if state != "interpreters waiting"]
    bars += [(f"one slot more, {row['when']}", "evalx", row["pss_mib a slot more"]) for row in rows]
    report.panel("memory (PSS)", "MiB", bars)
    for row in rows:
        report.claim(f"memory of a slot, {row['when']}", row["pss_mib a slot more"], "MiB")


# ---- from the start to ready ----

def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return link.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def start_ms(bench, number):
    """`evalx` on SQLite, from the start of the process to the first 200 of /readyz, when it can accept and run work."""
    server = bench.harness.Evalx(f"start-{number}", ["server"], bench.folder, bench.settings())
    begin = time.perf_counter()
    process = subprocess.Popen(server.command, env=server.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        while not answers(server.port):
            if process.poll() is not None or time.perf_counter() > begin + 30:
                raise SystemExit("bench: evalx did not get ready")
            time.sleep(0.0005)
        return (time.perf_counter() - begin) * 1000
    finally:
        process.terminate()
        process.wait()


def readiness(bench, report):
    found = [start_ms(bench, number) for number in range(bench.many(5, 20))]
    report.table("from the start of evalx to ready", [{"starts": len(found), "ready_ms": median(found),
                                                       "ready_p99_ms": p99(found)}])
    report.panel("from the start of evalx to ready", "ms", [("evalx", "evalx", median(found), p99(found))], aim=100)
    report.claim("start of evalx to ready", median(found), "ms", at_most=100)


# ---- 10,000 waiting clients ----

def waiting(bench, report):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = WAITING_CLIENTS + 200
    if hard != resource.RLIM_INFINITY and hard < needed and os.geteuid() != 0:
        report.note(f"{WAITING_CLIENTS} clients need {needed} descriptors; not measured")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
    try:
        with bench.fleet("waiting", {"EVALX_CONNECTIONS_MAX": str(WAITING_CLIENTS + 100)}) as fleet:
            hold(bench, report, fleet)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, soft)))


def latencies(client, sent, count):
    client.run(sent)
    found = []
    for _ in range(count):
        time.sleep(0.003)
        spent, answer = client.run(sent)
        right(answer)
        found.append(spent)
    return found


def hold(bench, report, fleet):
    count = bench.many(50, 300)
    sent = submission("c", C_CODE)
    with Client(fleet.api.port) as client:
        alone = latencies(client, sent, count)
        token = client.json(request("POST", "/execute/batch", [element(NOBODY_RUNS, "x")]))["token"]
        before = memory(fleet.api.pid)
        poll = request("GET", f"/submissions/{token}?wait=60")
        begin = time.perf_counter()
        held = []
        for _ in range(WAITING_CLIENTS):
            held.append(Client(fleet.api.port))
            held[-1].link.sendall(poll)
        opened = time.perf_counter() - begin
        amid = latencies(client, sent, count)
        after = memory(fleet.api.pid)
        begin = time.perf_counter()
        client.json(request("DELETE", f"/submissions/{token}"))
        told = sum(b'"Failed"' in waiter.answer()[1] for waiter in held)
        all_told = (time.perf_counter() - begin) * 1000
        for waiter in held:
            waiter.link.close()
    row = {"clients": len(held), "opened_s": opened, "rss_before_mib": before[0] / 1024,
           "rss_mib": after[0] / 1024, "kib a client": (after[0] - before[0]) / len(held),
           "result_ms alone": median(alone), "p99_ms alone": p99(alone), "result_ms amid": median(amid),
           "p99_ms amid": p99(amid), "ratio": median(amid) / median(alone), "told": told, "all_told_ms": all_told}
    report.table("clients that wait, held by one API server", [row])
    report.panel("submit to result beside 10,000 clients that wait", "ms",
                 [("nobody waits", "floor", median(alone), p99(alone)),
                  ("10,000 wait", "evalx", median(amid), p99(amid))])
    report.claim("clients held by one API server, each told in the end", told, "clients", at_least=WAITING_CLIENTS)
    report.claim("memory of a client that waits", row["kib a client"], "KiB")
