"""queue: the stores alone, by bench_queue.c, on an SQLite file and on a separate redis-server.  It runs only when
named, because it takes some minutes and a million submissions."""
import os
import shutil
import subprocess


def measure(bench, report):
    program = bench.target("tests/contract/bench_queue")[0]
    quick = ["--quick"] if bench.quick else []
    print("SQLite", flush=True)
    subprocess.run([program, f"sqlite:{os.path.join(bench.folder, 'queue.db')}", *quick], check=True,
                   stdin=subprocess.DEVNULL)
    if shutil.which("redis-server") is None:
        report.note("Redis: redis-server is not installed, not measured")
        return
    redis = bench.harness.Redis(bench.folder)
    redis.use(redis.data, "everysec")
    redis.start()
    try:
        print("\nRedis (appendfsync everysec)", flush=True)
        subprocess.run([program, f"redis://127.0.0.1:{redis.port}", *quick], check=True, stdin=subprocess.DEVNULL)
    finally:
        redis.kill9()
