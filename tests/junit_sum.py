#!/usr/bin/python3
"""Adds up the results of test runs: junit_sum.py FOLDER...

Each folder holds what one run left behind; its name is the label of the run in the output:
  *.xml                 JUnit files of pytest, and those that cmocka wrote through junit_wrapper.sh (cmocka-*.xml)
  meson.json, meson.xml meson's own log of the programs it ran, and its JUnit file with the tests of TAP programs
  status                exit status of the runner

A test function counts as one test.  A program of meson that reports no single tests counts as one.  Prints the tests
that were skipped and that failed, then one plain line: "N passed, N failed" or "N passed, N failed, N skipped".
The exit status is 1 if anything failed, or if nothing ran.
"""
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET


class Counts:
    def __init__(self):
        self.passed = 0
        self.failed = []   # (name, reason)
        self.skipped = []

    def add(self, other, label=None):
        prefix = f"{label}: " if label else ""
        self.passed += other.passed
        self.failed += [(prefix + name, reason) for name, reason in other.failed]
        self.skipped += [(prefix + name, reason) for name, reason in other.skipped]

    def line(self):
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{self.passed} passed, {len(self.failed)} failed{skipped}"


def read_xml(path):
    """Meson and cmocka copy the output of programs as it is; characters that XML does not allow become '?'."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return ET.fromstring(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", file.read()))


def first_line(element):
    text = (element.get("message") or element.text or "").strip()
    return text.split("\n")[0][:200]


def count_cases(cases, prefix=""):
    """The <testcase> elements of a JUnit file."""
    counts = Counts()
    for case in cases:
        owner = case.get("classname")
        name = prefix or (f"{owner}::" if owner else "")
        name += case.get("name", "")
        bad = [element for element in case if element.tag in ("failure", "error")]
        skip = case.find("skipped")
        if bad:
            counts.failed.append((name, first_line(bad[0])))
        elif skip is not None:
            counts.skipped.append((name, first_line(skip) or (case.findtext("system-out") or "").strip()))
        else:
            counts.passed += 1
    return counts


def cmocka_file(folder, command):
    """The file in which junit_wrapper.sh, the first word of the command, made cmocka write."""
    text = "".join(word + "\n" for word in command[1:]).encode()
    name = subprocess.run(["cksum"], input=text, capture_output=True, check=True).stdout.decode().strip()
    return os.path.join(folder, f"cmocka-{name.replace(' ', '-')}.xml")


def count_program(folder, entry, tap_suites):
    """One entry of meson's log."""
    name, result = entry["name"].split(" / ")[-1], entry["result"]
    file = cmocka_file(folder, entry["command"])
    counts = Counts()
    if os.path.exists(file):
        try:
            counts = count_cases(read_xml(file).iter("testcase"), f"{name}::")
        except ET.ParseError:
            counts.failed.append((name, "its results are no valid XML"))
    elif name in tap_suites:
        counts = count_cases(tap_suites[name], f"{name}::")
    elif result == "SKIP":
        lines = [line for line in (entry.get("stdout") or "").strip().split("\n") if line]
        counts.skipped.append((name, re.sub(r"^(skipped: |1\.\.0 # SKIP )", "", lines[-1]) if lines else ""))
    elif result in ("OK", "EXPECTEDFAIL"):
        counts.passed = 1
    if result not in ("OK", "EXPECTEDFAIL", "SKIP") and not counts.failed:
        counts.failed.append((name, f"{result.lower()}, exit status {entry.get('returncode')}"))
    return counts


def count_meson(folder):
    with open(os.path.join(folder, "meson.json"), encoding="utf-8", errors="replace") as file:
        entries = [json.loads(line) for line in file]
    # In meson's JUnit file a program with several results is a suite "PROJECT.TEST" or "PROJECT.PROJECT:SUITE / TEST".
    suites = {}
    path = os.path.join(folder, "meson.xml")
    for suite in read_xml(path).iter("testsuite") if os.path.exists(path) else ():
        if "." in suite.get("name", ""):
            cases = suites[suite.get("name").split(".", 1)[1].split(" / ")[-1]] = list(suite.iter("testcase"))
            for case in cases:
                case.set("name", re.sub(r"^\d+ (- )?", "", case.get("name", "")))
    counts = Counts()
    for entry in entries:
        counts.add(count_program(folder, entry, suites))
    return counts


def count_folder(folder):
    counts = Counts()
    names = sorted(os.listdir(folder))
    if "meson.json" in names:
        counts.add(count_meson(folder))
    for name in names:
        if name.endswith(".xml") and name != "meson.xml" and not name.startswith("cmocka-"):
            counts.add(count_cases(read_xml(os.path.join(folder, name)).iter("testcase")))
    status = "no exit status"
    if "status" in names:
        with open(os.path.join(folder, "status"), encoding="ascii") as file:
            status = file.read().strip()
    if status != "0" and not counts.failed:
        counts.failed.append(("the run", f"ended with {status}"))
    return counts


def main(folders):
    total = Counts()
    for folder in folders:
        total.add(count_folder(folder), os.path.basename(os.path.normpath(folder)))
    for name, reason in total.skipped:
        print(f"skipped: {name}" + (f" ({reason})" if reason else ""))
    for name, reason in total.failed:
        print(f"FAILED:  {name}" + (f" ({reason})" if reason else ""))
    print(total.line())
    return 1 if total.failed or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
