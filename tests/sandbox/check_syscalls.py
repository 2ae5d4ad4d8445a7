#!/usr/bin/env python3
"""Compares the table of system calls with syscalls.txt: a language test uses each row that allows something.

    check_syscalls.py BUILD

tools/trace_syscalls.py finds the tests.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import trace_syscalls  # pylint: disable=wrong-import-position


def has_test(name):
    language, _, section = name.partition(":")
    if name == "self_test":
        return True
    path = os.path.join(ROOT, "languages", "tests", f"{language}.conf")
    if section == "hello":
        path = os.path.join(ROOT, "languages", f"{language}.conf")
    if not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as file:
        return re.search(rf"(?m)^\[{re.escape(section)}\]$", file.read()) is not None


def main():
    rows = trace_syscalls.read_rows(sys.argv[1])
    needed = {row.key for row in rows if row.needs_test()}
    uses = trace_syscalls.read_uses()
    findings = [f"{key}: no language test uses it" for key in sorted(needed - set(uses))]
    findings += [f"{key}: not a row that allows something" for key in sorted(set(uses) - needed)]
    findings += [f"{key}: there is no test {test}" for key, test in sorted(uses.items()) if not has_test(test)]
    for finding in findings:
        print(f"tests/sandbox/syscalls.txt: {finding}")
    print(f"{len(needed)} rows, {len(findings)} findings")
    return len(findings) > 0


if __name__ == "__main__":
    sys.exit(main())
