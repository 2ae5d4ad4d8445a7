#!/usr/bin/python3
"""Measures evalx on this machine: run.py [NAME...] [--quick].

Each part alternates evalx and its floor, so that other work on the machine affects both equally, and checks every
answer.  bench/README.md explains each figure.  The figures are stored as JSON and as a picture.
"""
import argparse
import importlib
import os
import platform
import shutil
import subprocess
import sys
import time

import figures
import picture
from engine import ROOT, Bench

PARTS = ["run", "hello", "compile", "http", "throughput", "memory", "depth", "spread"]
BY_NAME_ONLY = ["queue"]


def machine(bench):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    revision = ""
    if shutil.which("git") is not None:
        told = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True,
                              check=False)
        revision = told.stdout.strip()
    return {"processor": models[0] if models else platform.machine(), "cores": bench.cores,
            "kernel": platform.release(), "revision": revision or "unknown", "quick": bench.quick,
            "realtime": os.sched_getscheduler(0) != os.SCHED_OTHER,
            "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def load():
    return round(os.getloadavg()[0], 2)


def measure(bench, names):
    parts = {}
    for name in names:
        begin, before = time.monotonic(), load()
        print(f"\n== {name}", flush=True)
        report = figures.Report(name)
        importlib.import_module("part_" + name).measure(bench, report)
        parts[name] = {**report.as_json(), "load": [before, load()], "seconds": round(time.monotonic() - begin, 1)}
        print(f"\n{name}: {parts[name]['seconds']:.0f} s, load {before} to {load()}", flush=True)
    return parts


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage="run.py [NAME...] [--quick] [--realtime] [--json FILE] [--picture FILE]")
    parser.add_argument("part", nargs="*", metavar="NAME",
                        help=f"of {', '.join(PARTS)} (all of these by default), {', '.join(BY_NAME_ONLY)}")
    parser.add_argument("--build", default="build")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: all parts in less than three minutes")
    parser.add_argument("--realtime", action="store_true",
                        help="run evalx and its floor at real-time priority, for a machine with other work")
    parser.add_argument("--json", help="file for the figures (default BUILD/bench.json)")
    parser.add_argument("--picture", help="file for the picture (default BUILD/bench.svg)")
    args = parser.parse_args(words)
    for name in args.part:
        if name not in PARTS + BY_NAME_ONLY:
            parser.error(f"no part called '{name}'")
    return args


def main():
    args = parse(sys.argv[1:])
    if args.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
    bench = Bench(args.build, args.quick)
    kept = {"machine": machine(bench), "parts": {}}
    print("  ".join(f"{key}: {value}" for key, value in kept["machine"].items()), flush=True)
    try:
        kept["parts"] = measure(bench, args.part or PARTS)
    finally:
        bench.close()
    claims = [claim for part in kept["parts"].values() for claim in part["claims"]]
    if claims:
        print("\n== figures with an aim\n" + figures.table(claims), flush=True)
    paths = [args.json or os.path.join(args.build, "bench.json"), args.picture or os.path.join(args.build, "bench.svg")]
    figures.write_json(paths[0], kept)
    picture.write(paths[1], kept)
    print(f"\nfigures: {paths[0]}, picture: {paths[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
