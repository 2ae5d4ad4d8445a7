#!/usr/bin/python3
"""Runs every test and counts them one by one: run_tests.py BUILD BUILD_ASAN.

The normal build runs all meson suites and the black-box tests of pytest; the sanitized one all meson suites but
those that only time something, and a short part of pytest (everything not marked slow).  Ends with one plain line,
"N passed, N failed" or "N passed, N failed, N skipped", above it the names of what failed and what was skipped.
Status 1 if anything failed or if nothing ran.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
START = float(os.environ.get("dev_started", time.time()))
# The quarantine is small: what is freed stays resident in it, and the canaries of the attacks look at that.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
                    ":quarantine_size_mb=16",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "EVALX_TEST_SLOWNESS": "4",
}


def say(text):
    print(f"[{int(time.time() - START):4d} s] {text}", flush=True)


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def line(self):
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{self.passed} passed, {len(self.failed)} failed{skipped}"


def count_cmocka(name, stdout):
    """Each test between its RUN line and its OK, FAILED or SKIPPED; one that never ended took the program with it."""
    tally, running = Tally(), None

    def unfinished():
        if running is not None:
            tally.failed.append((f"{name}: {running}", "did not end"))

    for word, test in re.findall(r"\[ +(RUN|OK|FAILED|SKIPPED) +\] (.*)", stdout):
        if word == "RUN":
            unfinished()
            running = test
        elif test == running:
            running = None
            if word == "OK":
                tally.passed += 1
            else:
                where, why = (tally.failed, "") if word == "FAILED" else (tally.skipped, "skipped by the test")
                where.append((f"{name}: {test}", why))
    unfinished()
    return tally


def count_suite(name, stdout):
    """A program that counts by itself, as the attacks do: "N passed, N failed" last, a FAILED line for each failure."""
    match = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", stdout.rstrip().split("\n")[-1])
    if not match:
        return None
    tally = Tally()
    tally.passed = int(match.group(1))
    named = re.findall(r"^FAILED +([^\s:]+):? ?(.*)$", stdout, re.M)[:int(match.group(2))]
    tally.failed = [(f"{name}: {test}", why[:200]) for test, why in named]
    tally.failed += [(f"{name}: (unnamed)", "")] * (int(match.group(2)) - len(named))
    tally.skipped = [(f"{name}: {test}", why[:200]) for test, why in
                     re.findall(r"^skipped +([^\s:]+):? ?(.*)$", stdout, re.M | re.I)[:int(match.group(3) or 0)]]
    tally.skipped += [(f"{name}: (unnamed)", "")] * (int(match.group(3) or 0) - len(tally.skipped))
    return tally


def count_program(entry):
    """One test program as meson ran it: cmocka's, TAP's or its own count, else the program counts as one test."""
    tally = Tally()
    name, result = entry["name"], entry["result"]
    text = entry.get("stdout", "") + "\n" + entry.get("stderr", "")
    reason = next((line.strip() for line in reversed(text.strip().split("\n")) if line.strip()), "")
    if result == "SKIP":
        tally.skipped.append((name, reason or "exit status 77"))
        return tally
    tap = re.findall(r"^(not )?ok \d+(?: -)? ?([^#\n]*)(# SKIP ?(.*))?$", text, re.M | re.I)
    if re.search(r"^\[==========\] Running", text, re.M):
        tally = count_cmocka(name, entry.get("stdout", ""))
    elif count_suite(name, entry.get("stdout", "")):
        tally = count_suite(name, entry.get("stdout", ""))
    elif tap:
        for bad, test, skip, why in tap:
            if bad:
                tally.failed.append((f"{name}: {test.strip()}", ""))
            elif skip:
                tally.skipped.append((f"{name}: {test.strip()}", why))
            else:
                tally.passed += 1
    elif result in ("OK", "EXPECTEDFAIL"):
        tally.passed = 1
    if result not in ("OK", "EXPECTEDFAIL") and not tally.failed:
        tally.failed.append((name, f"{result.lower()}, status {entry.get('returncode')}: {reason}"))
    return tally


def run_meson(build, label, extra_env, suites=()):
    """All tests of one build folder; suites empty: all of them."""
    log = os.path.join(build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    command = ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs"]
    command += [word for suite in suites for word in ("--suite", suite)]
    status = subprocess.run(command, env={**os.environ, **extra_env}, stdin=subprocess.DEVNULL, check=False).returncode
    tally = Tally()
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            for line in file:
                tally.add(count_program(json.loads(line)))
    if status != 0 and not tally.failed:
        tally.failed.append(("meson test", f"ended with {status}"))
    return labelled(tally, label)


def labelled(tally, label):
    tally.failed = [(f"{label}: {name}", why) for name, why in tally.failed]
    tally.skipped = [(f"{label}: {name}", why) for name, why in tally.skipped]
    return tally


def count_junit(path):
    tally = Tally()
    for case in ET.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        bad = [e for e in case if e.tag in ("failure", "error")]
        skip = case.find("skipped")
        if bad:
            tally.failed.append((name, (bad[0].get("message") or "").split("\n")[0][:200]))
        elif skip is not None:
            tally.skipped.append((name, skip.get("message") or ""))
        else:
            tally.passed += 1
    return tally


def run_pytest(build, label, extra_env, arguments):
    binary = os.path.abspath(os.path.join(build, "evalx"))
    if not os.path.exists(binary):
        tally = Tally()
        tally.failed.append((f"{label}: pytest", f"{build}/evalx was not built"))
        return tally
    folder = tempfile.mkdtemp(prefix="evalx-junit-")
    try:
        report = os.path.join(folder, "report.xml")
        command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        command += arguments
        env = {**os.environ, **extra_env, "EVALX_BINARY": binary, "PYTHONDONTWRITEBYTECODE": "1"}
        status = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False).returncode
        tally = count_junit(report) if os.path.exists(report) else Tally()
        if status != 0 and not tally.failed:
            tally.failed.append(("pytest", f"ended with {status}"))
        return labelled(tally, label)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(argv):
    build, build_asan = argv[1], argv[2]
    # Stopped from outside: leave through the finally blocks, so that nothing stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    total = Tally()
    say("tests of the normal build")
    total.add(run_meson(build, "normal", {}))
    say("black-box tests of the normal build")
    total.add(run_pytest(build, "normal", {}, ["tests/integration", "tools"]))
    say("tests under AddressSanitizer and UBSan")
    total.add(run_meson(build_asan, "sanitized", SANITIZER_ENV))
    say("black-box tests under AddressSanitizer and UBSan")
    total.add(run_pytest(build_asan, "sanitized", SANITIZER_ENV, ["-m", "not slow", "tests/integration"]))
    say("done")
    for name, why in total.skipped:
        print(f"skipped: {name}" + (f" ({why})" if why else ""))
    for name, why in total.failed:
        print(f"FAILED:  {name}" + (f" ({why})" if why else ""))
    print(total.line())
    return 1 if total.failed or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
