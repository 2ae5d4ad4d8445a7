#!/usr/bin/python3
"""Writes docs/LANGUAGES.md from what `evalx languages verify --measure --json` said: catalogue.py FILE.json...

Later files win where two have the same language.  Only what passed is in the table; the rest is listed with its reason.
"""
import json
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")

HEAD = """# Languages

Written by `sudo ./dev images --all` from what passed on the machine it ran on; not by hand. "Hello" is the wall time of
the hello test's run in a fresh box, "compile" that of its compiler; "smallest" is the smallest memory limit with which
the hello test still passes. The tests of each are in languages/tests/, and run by `evalx languages verify`.
Which names and versions a language answers to is in its file in languages/.

| id | language | version | image | tests passed | compile ms | hello ms | smallest MiB |
|---|---|---|---|---|---|---|---|
"""


def keys_of(ident):
    """The plain keys at the top of a language's file."""
    with open(os.path.join(ROOT, "languages", ident + ".conf"), encoding="utf-8") as file:
        top = file.read().split("\n[")[0]
    return dict(re.findall(r"(?m)^(\w+)\s*=\s*(.*)$", top))


def row(entry):
    keys = keys_of(entry["id"])
    smallest = entry["smallest_memory_bytes"] >> 20
    compiled = f"{entry['compile_seconds'] * 1000:.0f}" if entry["compile_seconds"] else ""
    return (f"| {entry['id']} | {keys['name']} | {keys['version']} | {keys['image']} | {', '.join(entry['cases'])} "
            f"| {compiled} | {entry['hello_seconds'] * 1000:.0f} | {smallest or ''} |\n")


def main(paths):
    entries = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            entries.update((entry["id"], entry) for entry in json.load(file))
    passed = [entry for _, entry in sorted(entries.items()) if entry["works"]]
    failed = [entry for _, entry in sorted(entries.items()) if not entry["works"]]
    known = sorted(name[:-5] for name in os.listdir(os.path.join(ROOT, "languages")) if name.endswith(".conf"))
    text = HEAD + "".join(map(row, passed))
    text += f"\n{len(passed)} versions of {len({keys_of(e['id'])['name'] for e in passed})} languages passed.\n"
    if failed:
        text += "\n## Did not pass\n\n"
        text += "".join(f"- {entry['id']}: {' '.join(entry['reason'].split())[:200]}\n" for entry in failed)
    missing = [ident for ident in known if ident not in entries]
    if missing:
        text += "\n## Not tried\n\n" + ", ".join(missing) + "\n"
    with open(os.path.join(ROOT, "docs", "LANGUAGES.md"), "w", encoding="utf-8") as file:
        file.write(text)
    print(f"docs/LANGUAGES.md: {len(passed)} passed, {len(failed)} did not, {len(missing)} not tried")


if __name__ == "__main__":
    main(sys.argv[1:])
