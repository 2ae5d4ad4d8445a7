#!/usr/bin/env python3
"""Finds for each row of the table of system calls a language test that uses it.

    sudo tools/trace_syscalls.py BUILD LANGUAGE[:SECTION]...

It runs each test of the languages by itself, under strace, and writes tests/sandbox/syscalls.txt.  Entries that are
there already stay unless their row is gone.  Only processes of boxes count: those that have executed the exec stub, and
their children.  The rows of SLOT and INIT are the root side's and need no test.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILE = os.path.join(ROOT, "tests", "sandbox", "syscalls.txt")
CALL = re.compile(r"^(\w+)\(([^)]*)")
CHILD = re.compile(r"= \d+ /\* (\d+) in strace's PID NS \*/$")
ROW = re.compile(r"^(\w+)\((.*)\) (0x[0-9a-f]+) (-?\d+)$")
CONDITION = re.compile(r"^(\d)(h?)(?:&(0x[0-9a-f]+|0))?=(0x[0-9a-f]+|0)$")
TRANSLATED = ("clone", "fork", "vfork") # strace must not print their arguments raw to name the child
OF_PROGRAMS = 0x1f # enum seccomp_who: all classes, LOOPBACK, UNPINNED
HEADER = """# A language test for each row of src/sandboxd/seccomp_table.c that allows something to programs.
# A test is LANGUAGE:SECTION of languages/tests; hello is the one of the language file, self_test the sandbox's own.
# tools/trace_syscalls.py writes this file, and tests/sandbox/check_syscalls.py compares it with the table.
"""


class Row:
    def __init__(self, line):
        call, conditions, who, answer = ROW.match(line).groups()
        self.call, self.who, self.answer = call, int(who, 16), int(answer)
        self.key = f"{call}({conditions})"
        self.conditions = []
        for text in filter(None, conditions.split(",")):
            argument, half, mask, value = CONDITION.match(text).groups()
            self.conditions.append((int(argument), 32 if half else 0, int(mask or "0xffffffff", 16), int(value, 16)))

    def needs_test(self):
        return self.answer == -1 and self.who & OF_PROGRAMS != 0

    def fits(self, arguments):
        return all(argument < len(arguments) and (arguments[argument] >> shift) & mask == value
                   for argument, shift, mask, value in self.conditions)


def read_rows(build):
    program = os.path.join(build, "tests", "sandbox", "syscall_rows")
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    return [Row(line) for line in lines]


def read_uses():
    """{row's key: test}"""
    if not os.path.exists(FILE):
        return {}
    with open(FILE, encoding="ascii") as file:
        return dict(line.split() for line in file if line.strip() and not line.startswith("#"))


def box_calls(folder):
    """Yields (name, arguments) of the calls that processes in boxes made."""
    lines, wanted = {}, []
    for path in glob.glob(os.path.join(folder, "trace.*")):
        with open(path, encoding="ascii", errors="replace") as file:
            lines[path.rsplit(".", 1)[1]] = file.read().splitlines()
    for thread, calls in lines.items():
        for i, line in enumerate(calls[1:], 1):
            if line.startswith("execveat(") and calls[i - 1].startswith("seccomp("): # the last two of child_setup.c
                wanted.append((thread, i))
                break
    while wanted:
        thread, first = wanted.pop()
        for line in lines.get(thread, [])[first:]:
            match = CALL.match(line)
            if match is None:
                continue
            name, words = match.groups()
            arguments = [int(word, 16) for word in words.split(", ") if re.fullmatch("0x[0-9a-f]+|0", word)]
            yield name, [0] if name in TRANSLATED else arguments
            child = CHILD.search(line)
            if name in TRANSLATED and child is not None:
                wanted.append((child[1], 0))
        lines[thread] = []


def sections(language_file):
    """[(name, text)] of a file of tests."""
    with open(language_file, encoding="utf-8") as file:
        parts = re.split(r"(?m)^\[([^]\n]+)\]\n", file.read())
    return list(zip(parts[1::2], parts[2::2]))


def trace(evalx, language, name, text, tests_name):
    """Runs one test, or hello if text is None."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755) # evalx reads the tests as an unprivileged user
        languages = os.path.join(folder, "languages")
        shutil.copytree(os.path.join(ROOT, "languages"), languages)
        shutil.rmtree(os.path.join(languages, "tests"))
        os.mkdir(os.path.join(languages, "tests"))
        if text is not None:
            with open(os.path.join(languages, "tests", tests_name), "w", encoding="utf-8") as file:
                file.write(f"[{name}]\n{text}")
        environment = {**os.environ, "EVALX_LANGUAGES": languages, "EVALX_UID_BASE": "1950000000",
                       "EVALX_DATA": os.path.join(folder, "data")}
        strace = ["strace", "-ff", "-qq", "--decode-pids=pidns", "-e", "raw=!clone,fork,vfork", "-e", "signal=none",
                  "-o", os.path.join(folder, "trace")]
        done = subprocess.run([*strace, evalx, "languages", "verify", language], env=environment, capture_output=True,
                              text=True, check=False)
        if " works " not in done.stdout:
            print(done.stdout, done.stderr, file=sys.stderr)
        yield from box_calls(folder)


def tests_of(evalx, language):
    """The name of its file of tests, and the tests."""
    for path in sorted(glob.glob(os.path.join(ROOT, "languages", "tests", "*.conf"))):
        base = os.path.basename(path)
        if base == f"{language}.conf":
            return base, sections(path)
    raise SystemExit(f"{language} has no file of tests: name the language, not one of its versions")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("tests", nargs="+", help="LANGUAGE or LANGUAGE:SECTION")
    options = parser.parse_args()
    evalx = os.path.join(os.path.abspath(options.build), "evalx")
    rows = read_rows(options.build)
    needed = {row.key for row in rows if row.needs_test()}
    uses = {key: test for key, test in read_uses().items() if key in needed}
    for wanted in options.tests:
        language, _, only = wanted.partition(":")
        base, tests = tests_of(evalx, language)
        for name, text in [("hello", None), *tests]:
            if only not in ("", name):
                continue
            used, missed = set(), set()
            for call, arguments in trace(evalx, language, name, text, base):
                row = next((row for row in rows if row.call == call and row.who & OF_PROGRAMS and row.fits(arguments)),
                           None)
                if row is None or not row.needs_test():
                    missed.add(call + (f" {arguments[:4]}" if row is not None else ""))
                else:
                    used.add(row.key)
            for key in used:
                uses.setdefault(key, f"{language}:{name}")
            print(f"{language}:{name}: {len(used)} rows; not allowed: {', '.join(sorted(missed)[:12])}", flush=True)
    with open(FILE, "w", encoding="ascii") as file:
        file.write(HEADER)
        for key in sorted(uses):
            file.write(f"{key} {uses[key]}\n")
    print("without a test:", ", ".join(sorted(needed - set(uses))))


if __name__ == "__main__":
    main()
