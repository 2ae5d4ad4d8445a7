#!/usr/bin/python3
"""Checks the model of the lease protocol (lease.pml) with spin: check.py [FOLDER OF lease.pml].

The protocol must hold in every size below.  Each mutant, one mistake an implementation could make, must be caught by
the property named here.  Prints TAP and skips everything if spin is not installed.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

# Name, definitions, whether it is about liveness.  The sizes are as large as a few seconds allow.
HOLDS = [
    ("two workers, one submission", "WORKERS=2 TROUBLES=6", False),
    ("two workers, three leases", "WORKERS=2 TROUBLES=5 ATTEMPTS_MAX=3", False),
    ("three workers, one submission", "WORKERS=3 TROUBLES=4", False),
    ("two workers, two submissions", "WORKERS=2 SUBS=2 TROUBLES=1", False),
    ("what was added ends", "WORKERS=2 TROUBLES=3 LIVENESS", True),
    ("what was added ends, without cancels", "WORKERS=3 TROUBLES=2 NO_CANCEL LIVENESS", True),
]
# Name, definitions, whether it is about liveness, what the trail must name.
CAUGHT = [
    ("an attempt number used twice", "MUTANT_SAME_ATTEMPT", False, r"attempt\w*>given"),
    ("no check of the attempt: a late finish is kept", "MUTANT_NO_FENCE", False, r"attempt==view"),
    ("a finish after the end is kept", "MUTANT_LATE_FINISH", False, r"!\(\(\(subs\S*state==\d\)\|\|\(subs"),
    ("a repeated finish is answered as too late", "MUTANT_NO_CALL_NAME", False, r"assert.*kept==|kept==\(subs"),
    ("a late release takes the submission from another worker", "MUTANT_RELEASE_UNFENCED", False, r"attempt==view"),
    ("no cap of attempts", "MUTANT_NO_CAP", False, r"lost<=2"),
    ("a cancel that only marks", "MUTANT_CANCEL_ONLY_MARKS", False, r"cancelled"),
    ("a repeated claim is given what another worker holds", "MUTANT_OLD_ANSWER", False, r"holders<=1"),
    ("nobody reaps expired leases", "MUTANT_NO_REAP LIVENESS", True, r"acceptance cycle"),
]


def run(command, folder):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=200)
    return done.returncode, done.stdout + done.stderr


def explore(model, definitions, liveness):
    """Searches every reachable state; returns (errors, output of pan)."""
    folder = tempfile.mkdtemp(prefix="evalx-model-")
    try:
        shutil.copy(model, os.path.join(folder, "lease.pml"))
        options = ["-D" + word for word in definitions.split()]
        status, said = run(["spin", "-a", *options, "lease.pml"], folder)
        if status != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
            raise RuntimeError(f"spin: {said}")
        kind = ["-DNFAIR=8"] if liveness else ["-DSAFETY"]
        limits = ["-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=2000"]
        status, said = run(["gcc", "-O1", "-w", *limits, *kind, "-o", "pan", "pan.c"], folder)
        if status != 0:
            raise RuntimeError(f"gcc: {said}")
        _, said = run(["./pan", "-m100000", "-n", *(["-a", "-f"] if liveness else [])], folder)
        counted = re.search(r"errors: (\d+)", said)
        if counted is None or "max search depth too small" in said or "memory limit" in said:
            raise RuntimeError(f"pan did not search everything: {said}")
        return int(counted.group(1)), said
    finally:
        shutil.rmtree(folder)


def states_of(said):
    found = re.search(r"([0-9.e+]+) states, stored", said)
    return f"{float(found.group(1)):.0f} states" if found else "?"


def main(argv):
    folder = argv[1] if len(argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    model = os.path.join(folder, "lease.pml")
    if shutil.which("spin") is None:
        print("1..0 # SKIP spin is not installed")
        return 0
    print(f"1..{len(HOLDS) + len(CAUGHT)}", flush=True)
    bad = 0

    def tell(number, fine, text, said):
        print(f"{'ok' if fine else 'not ok'} {number} - {text}", flush=True)
        if not fine:
            print("\n".join("# " + line for line in said.splitlines()))
        return 0 if fine else 1

    for number, (name, definitions, liveness) in enumerate(HOLDS, 1):
        errors, said = explore(model, definitions, liveness)
        bad += tell(number, errors == 0, f"holds: {name} ({states_of(said)})", said)
    for number, (name, definitions, liveness, trail) in enumerate(CAUGHT, len(HOLDS) + 1):
        errors, said = explore(model, definitions, liveness)
        first = next((line for line in said.splitlines() if line.startswith("pan:1:")), "")
        bad += tell(number, errors > 0 and re.search(trail, first) is not None, f"caught: {name}", said)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
