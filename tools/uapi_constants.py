#!/usr/bin/env python3
"""Writes the constants of the kernel's headers, for the tests of the system call filter.

    uapi_constants.py OUTPUT [INCLUDE_FOLDER]

A line is "NAME VALUE".  Numbers written as such are read from the text.  Requests of ioctl (_IO and its like) depend on
the sizes of structures, so the C compiler evaluates them, one header at a time.
"""
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

FOLDERS = ("linux", "asm", "asm-generic", "drm", "misc", "mtd", "rdma", "scsi", "sound", "video", "xen")
# What headers take for granted.
INCLUDED = [word for name in ("stddef.h", "time.h", "linux/types.h", "linux/ioctl.h") for word in ("-include", name)]
NUMBER = re.compile(r"^\s*#\s*define\s+([A-Z][A-Z0-9_]+)\s+\(?(0x[0-9a-fA-F]+|[0-9]+)[uUlL]*\)?\s*(?:/[/*].*)?$", re.M)
MEMBER = re.compile(r"^\s*((?:SO|IP|IPV6|TCP|UDP|PR|F|MADV)_[A-Z0-9_]+)\s*=\s*(0x[0-9a-fA-F]+|[0-9]+)\b", re.M)
REQUEST = re.compile(r"^\s*#\s*define\s+([A-Z][A-Za-z0-9_]+)\s+_IO(?:R|W|WR|C)?\s*\(", re.M)


def headers(include):
    found = []
    for folder in FOLDERS:
        for base in (include, *glob.glob(os.path.join(include, "*-linux-gnu*"))):
            found += sorted(glob.glob(os.path.join(base, folder, "**", "*.h"), recursive=True))
    return found


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return re.sub(r"\\\n", " ", file.read())


def numbers(text):
    for pattern in (NUMBER, MEMBER):
        for name, value in pattern.findall(text):
            base = 16 if value.lower().startswith("0x") else 8 if value.startswith("0") else 10
            yield name, int(value, base) if base != 8 or not re.search("[89]", value) else 0


def requests(path, names):
    """The values of a header's requests.  A name that does not compile is left out, then the others are tried again."""
    while names:
        lines = [f'#include "{path}"', "const unsigned long long values[] = {", *(f"{name}," for name in names), "1 };"]
        done = subprocess.run(["cc", "-S", "-w", "-x", "c", *INCLUDED, "-o", "-", "-"], input="\n".join(lines),
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            values = [int(value) for value in re.findall(r"\.(?:quad|xword)\s+(-?\d+)", done.stdout)]
            return list(zip(names, values)) if len(values) == len(names) + 1 else []
        bad = {int(line) - 3 for line in re.findall(r"^<stdin>:(\d+):\d+: (?:error|note)", done.stderr, re.M)}
        kept = [name for i, name in enumerate(names) if i not in bad]
        if len(kept) == len(names):
            return [] # the header itself does not compile
        names = kept
    return []


def main():
    include = sys.argv[2] if len(sys.argv) > 2 else "/usr/include"
    found, jobs = {}, {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path in headers(include):
            text = read(path)
            found.update(numbers(text))
            names = sorted(set(REQUEST.findall(text)))
            if names:
                jobs[path] = pool.submit(requests, path, names)
        for job in jobs.values():
            found.update(job.result())
    with open(sys.argv[1], "w", encoding="ascii") as file:
        for name, value in sorted(found.items()):
            file.write(f"{name} {value & 0xffffffffffffffff:#x}\n")


if __name__ == "__main__":
    main()
