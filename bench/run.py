#!/usr/bin/python3
"""Submit-to-result latency and throughput of evalx beside the floor of plain posix_spawn: run.py --build BUILD.

Rounds of floor and evalx alternate, so that what else the machine does falls on both alike; medians and p99 are over
all rounds.  bench/README.md says what each figure means.  --json FILE keeps them.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

C_CODE = "#include <stdio.h>\nint main(void)\n{\n    puts(\"hello\");\n    return 0;\n}\n"
PYTHON_CODE = "print('hello')\n"
BASH_CODE = "echo hello\n"


def compile_c(cc, source, target, *flags):
    subprocess.run([cc, "-O2", *flags, "-o", target, source], check=True, stdin=subprocess.DEVNULL)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def programs(folder):
    """(name, language, code, the same program as an argument list for the floor)"""
    binary = os.path.join(folder, "hello")
    compile_c("gcc", write(os.path.join(folder, "hello.c"), C_CODE), binary)
    return [
        ("c", "c", C_CODE, [binary]),
        ("python", "python", PYTHON_CODE, ["/usr/bin/python3", write(os.path.join(folder, "hello.py"), PYTHON_CODE)]),
        ("bash", "bash", BASH_CODE, ["/bin/bash", write(os.path.join(folder, "hello.sh"), BASH_CODE)]),
    ]


def element(language, code):
    return {"language": language, "version": "latest", "code": code, "timeout": 10, "memory_limit": "256m"}


def right(found, count):
    results = found["results"] or []
    bad = [r for r in results if r["stdout"] != "hello\n" or r["exit_code"] != 0]
    if found["status"] != "Completed" or len(results) != count or bad:
        raise SystemExit(f"bench: wrong answer: {json.dumps(found)[:1000]}")


def once(client, body):
    """Milliseconds from the submit to the result in our hands."""
    begin = time.perf_counter()
    token = client.submit([body])
    while True:
        found = client.get(f"/submissions/{token}?wait=30").json()
        if found["status"] in ("Completed", "Failed"):
            break
    spent = (time.perf_counter() - begin) * 1000
    right(found, 1)
    return spent, found["results"][0]["wall_time"] * 1000


def p99(values):
    return sorted(values)[max(0, int(len(values) * 0.99) - 1)]


def latency(harness, server, floor, program, rounds, each):
    name, language, code, argv = program
    client = server.client()
    body = element(language, code)
    for _ in range(3):
        once(client, body)
    floor_ms, evalx_ms, run_ms = [], [], []
    for _ in range(rounds):
        out = subprocess.run([floor, str(each), "1", *argv], check=True, capture_output=True, text=True).stdout
        floor_ms += [float(line) / 1000 for line in out.split()]
        for _ in range(each):
            spent, ran = once(client, body)
            evalx_ms.append(spent)
            run_ms.append(ran)
    client.close()
    base, ours, run = (statistics.median(values) for values in (floor_ms, evalx_ms, run_ms))
    return {"program": name, "runs": rounds * each, "floor_ms": base, "floor_p99_ms": p99(floor_ms), "run_ms": run,
            "submit_to_result_ms": ours, "submit_to_result_p99_ms": p99(evalx_ms), "around_the_run_ms": ours - run,
            "run_over_floor_ms": run - base, "ratio": ours / base}


def throughput(harness, server, floor, program, clients, batch, seconds):
    name, language, code, argv = program
    cores = os.cpu_count() or 1
    each = 200 if name == "c" else 60
    command = [floor, str(each), str(max(2, cores)), *argv]
    base = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    body = [element(language, code)] + [{"stdin": ""}] * (batch - 1)
    end = time.perf_counter() + seconds

    def user(_):
        client, done = server.client(), 0
        while time.perf_counter() < end:
            token = client.submit(body)
            while True:
                found = client.get(f"/submissions/{token}?wait=30").json()
                if found["status"] in ("Completed", "Failed"):
                    break
            right(found, batch)
            done += batch
        client.close()
        return done

    begin = time.perf_counter()
    done = sum(harness.in_threads(clients, user))
    ours = done / (time.perf_counter() - begin)
    return {"program": name, "clients": clients, "batch": batch, "floor_runs_per_s": base, "runs_per_s": ours,
            "ratio": ours / base}


def table(rows):
    head = list(rows[0])
    cells = [[f"{row[key]:.2f}" if isinstance(row[key], float) else str(row[key]) for key in head] for row in rows]
    widths = [max(len(key), *(len(line[i]) for line in cells)) for i, key in enumerate(head)]
    for line in [head, *cells]:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)), flush=True)


def measure(harness, server, floor, folder, wanted, args):
    rows = {"latency": [], "throughput": []}
    for program in programs(folder):
        rows["latency"].append(latency(harness, server, floor, program, args.rounds, args.each))
    for program in programs(folder):
        rows["throughput"].append(throughput(harness, server, floor, program, args.clients, args.batch, args.seconds))
    for kind, found in rows.items():
        print(f"\n{wanted}: {kind}")
        table(found)
    return rows


def queue(args):
    """bench_queue on an SQLite file and on a redis-server of its own, both in a new folder."""
    subprocess.run(["ninja", "-C", args.build, "tests/contract/bench_queue"], check=True, stdout=subprocess.DEVNULL)
    program = os.path.join(args.build, "tests", "contract", "bench_queue")
    quick = ["--quick"] if args.quick else []
    folder = tempfile.mkdtemp(prefix="evalx-bench-queue-", dir=args.folder)
    try:
        print("SQLite", flush=True)
        subprocess.run([program, f"sqlite:{folder}/queue.db", *quick], check=True, stdin=subprocess.DEVNULL)
        if shutil.which("redis-server") is None:
            raise SystemExit("bench: redis-server is not installed")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with open(os.path.join(folder, "redis.log"), "wb") as log:
            redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder,
                                      "--save", "", "--appendonly", "yes"], stdout=log, stderr=log)
        try:
            time.sleep(1)
            print("\nRedis (appendfsync everysec)", flush=True)
            subprocess.run([program, f"redis://127.0.0.1:{port}", *quick], check=True, stdin=subprocess.DEVNULL)
        finally:
            redis.kill()
            redis.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def times_of(floor, count, *argv):
    """Microseconds of COUNT runs of a command."""
    out = subprocess.run([floor, str(count), "1", *argv], check=True, capture_output=True, text=True).stdout
    return [float(line) for line in out.split()]


def isolate_times(tiny, count):
    """The three commands of a run: init, run, cleanup."""
    found = []
    for _ in range(count):
        begin = time.perf_counter()
        for command in (["--init"], ["--run", "--", tiny], ["--cleanup"]):
            box = ["isolate", "--box-id=900", f"--dir={os.path.dirname(tiny)}", *command]
            if command[0] != "--run":
                box.pop(2)
            subprocess.run(box, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found.append((time.perf_counter() - begin) * 1e6)
    return found


def boxes(args):
    """bench_run: a box beside posix_spawn; then the smallest program in other sandboxes, where they are installed."""
    folder = os.path.abspath(os.path.join(args.build, "tests", "sandbox"))
    subprocess.run(["ninja", "-C", args.build, *(f"tests/sandbox/bench_{name}" for name in ("run", "tiny", "empty"))],
                   check=True, stdout=subprocess.DEVNULL)
    tiny = os.path.join(folder, "bench_tiny")
    command = [os.path.join(folder, "bench_run"), "--rounds", str(args.rounds * 20), tiny,
               os.path.join(folder, "bench_empty")]
    out = subprocess.run(command + ["--json"], check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    table([{"program": row["program"], "runs": row["runs"], "spawn_us": row["spawn_us"], "box_us": row["box_us"],
            "box_p99_us": row["box_p99_us"], "added_us": row["box_us"] - row["spawn_us"],
            "ratio": row["box_us"] / row["spawn_us"]} for row in rows])
    floor = os.path.join(args.build, "bench-floor")
    compile_c("gcc", os.path.join(ROOT, "bench", "floor.c"), floor, "-D_GNU_SOURCE", "-Wall", "-Wextra")
    added = max(1.0, rows[0]["box_us"] - rows[0]["spawn_us"])
    others = []
    for name, measure_other in (
            ("bwrap", lambda: times_of(floor, 100, shutil.which("bwrap"), "--unshare-all", "--ro-bind", "/", "/",
                                       "--proc", "/proc", "--dev", "/dev", tiny)),
            ("isolate", lambda: isolate_times(tiny, 50))):
        if shutil.which(name) is None:
            print(f"{name}: not installed, not compared", flush=True)
            continue
        base = statistics.median(times_of(floor, 100, tiny))
        theirs = statistics.median(measure_other()) - base
        others.append({"sandbox": name, "added_us": theirs, "times_ours": theirs / added})
    if others:
        print()
        table(others)
    if args.json:
        write(args.json, json.dumps({"run": rows, "others": others}, indent=1) + "\n")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", nargs="*", choices=["sqlite", "redis", "queue", "run", []],
                        help="default: sqlite and redis; run: a box alone; queue: the stores alone, also with a "
                        "million waiting")
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--each", type=int, default=10, help="runs of each side in a round")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--json", help="keep the figures in this file")
    parser.add_argument("--quick", action="store_true", help="queue: 20 seconds, a hundred thousand waiting")
    parser.add_argument("--folder", help="queue: where its files are made, on the disk that is to be measured")
    args = parser.parse_args()
    if "queue" in args.store:
        return queue(args)
    if "run" in args.store:
        return boxes(args)
    build = os.path.abspath(args.build)
    os.environ["EVALX_BINARY"] = os.path.join(build, "evalx")
    sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
    import harness

    floor = os.path.join(build, "bench-floor")
    compile_c("gcc", os.path.join(ROOT, "bench", "floor.c"), floor, "-D_GNU_SOURCE", "-Wall", "-Wextra")
    folder = harness.make_folder()
    kept = {}
    try:
        for wanted in args.store or ["sqlite", "redis"]:
            slots = {"EVALX_SLOTS": str(os.cpu_count() or 1), "EVALX_LOG": "warn"}
            if wanted == "sqlite":
                fleet, server = None, harness.Evalx("bench", ["server"], folder, slots).start().wait_ready()
            else:
                fleet = harness.Fleet(folder, workers=1, env=slots).start()
                server = fleet.api
            try:
                kept[wanted] = measure(harness, server, floor, folder, wanted, args)
            finally:
                if fleet:
                    fleet.stop()
                else:
                    server.stop()
        store = os.path.join(build, "bench", "bench_store")
        if os.access(store, os.X_OK) and not args.store:
            print("\nstore: bench_store", flush=True)
            subprocess.run([store], check=True, stdin=subprocess.DEVNULL)
        if args.json:
            write(args.json, json.dumps(kept, indent=1) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
