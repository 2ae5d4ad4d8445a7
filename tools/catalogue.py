#!/usr/bin/python3
"""Writes docs/guide/LANGUAGES.md from the results of measure_languages.py: catalogue.py FILE.json...

If two files have the same language, the later one counts.  The table has only languages that passed; the others are
listed with their reason.
"""
import json
import os
import sys

import language_file
from language_file import ROOT

HEAD = """# Languages

Written by `sudo ./dev images --all` from what passed on the machine it ran on; not by hand. In milliseconds, each the
median of seven with a pause before each: "hello" is the hello test's run in a fresh box, from the order to the answer;
"plain" is the same command in the same image by posix_spawn, as nobody, with nothing around it and nothing made ahead
(`evalx prepare`, interpreters that wait). "Compile" is what its compiler took, once, in the box. "Smallest" is the
smallest memory limit with which the hello test still passes, in steps of 1 MiB. "Live data" is the largest part of a
limit of 256 MiB that a program can have in use, where a test measures it. "Assertions" says whether a request can
switch them on. The tests of each are in languages/tests/, and run by `evalx languages verify`. Which names and versions
a language answers to is in its file in languages/ (README.md there has the rule).

| id | language | version | image | tests | compile ms | hello ms | plain ms | smallest MiB | live data % | assertions |
|---|---|---|---|---|---|---|---|---|---|---|
"""

IMAGES = """
## Images

What each image adds to those below it, and what it was built from. The lock of an image lists each source with its
version and SHA-256, and `evalx-images` checks them. The checksum here is that of the image's own files.

| image | suite | MiB | sources | lock | SHA-256 |
|---|---|---|---|---|---|
"""

PACKAGES = """
## Packages

Each was imported in the box. The number is what compiling and running the import took, in milliseconds.

| id | packages |
|---|---|
"""


TAIL = """
## Not packaged

Neither Debian 12, Debian 13 nor Ubuntu 24.04 (main and universe) has a package of Julia, nor of a Smalltalk that runs a
file: there is squeak-vm, without the image that it would run. Images are made of packages, so evalx has none of them.
"""


def milliseconds(value):
    return "" if not value else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def row(entry):
    top = language_file.read(entry["id"])
    return (f"| {entry['id']} | {top['name']} | {top['version']} | {top['image']} | {len(entry['cases'])} "
            f"| {milliseconds(entry['compile_seconds'] * 1000)} | {milliseconds(entry['hello_seconds'] * 1000)} "
            f"| {milliseconds(entry.get('plain_ms'))} | {entry['smallest_memory_bytes'] >> 20 or ''} "
            f"| {entry.get('live_data_percent') or ''} | {'yes' if top['assertions'] else ''} |\n")


def image_rows(passed):
    images = {entry["image"]["name"]: entry["image"] for entry in passed if entry.get("image")}
    for name, image in sorted(images.items()):
        lock = f"languages/locks/{name}.lock"
        has_lock = os.path.exists(os.path.join(ROOT, lock))
        sources = ", ".join(f"{source} {count}" for source, count in sorted(image["sources"].items()))
        yield (f"| {name} | {image.get('suite', '')} | {int(image.get('bytes', 0)) >> 20} | {sources} "
               f"| {f'[lock](../../{lock})' if has_lock else ''} | {image.get('sha256', '')} |\n")


def package_rows(passed):
    for entry in passed:
        if entry.get("packages"):
            told = ", ".join(f"{name} {milliseconds(seconds * 1000)}" for name, seconds in entry["packages"].items())
            yield f"| {entry['id']} | {told} |\n"


def name_of(ident):
    return language_file.read(ident)["name"]


def summary(passed):
    both = [entry for entry in passed if entry.get("plain_ms")]
    sooner = sum(entry["hello_seconds"] * 1000 < entry["plain_ms"] for entry in both)
    names = {name_of(entry["id"]) for entry in passed}
    return (f"\n{len(passed)} versions of {len(names)} languages passed; in {sooner} of {len(both)} hello takes less "
            f"time than started plainly.\n")


def main(paths):
    entries = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            entries.update((entry["id"], entry) for entry in json.load(file))
    passed = [entry for _, entry in sorted(entries.items()) if entry["works"]]
    failed = [entry for _, entry in sorted(entries.items()) if not entry["works"]]
    known = sorted(language_file.read_all())
    text = HEAD + "".join(map(row, passed))
    text += summary(passed)
    text += IMAGES + "".join(image_rows(passed))
    text += PACKAGES + "".join(package_rows(passed))
    if failed:
        text += "\n## Did not pass\n\n"
        text += "".join(f"- {entry['id']}: {' '.join(entry['reason'].split())[:200]}\n" for entry in failed)
    missing = [ident for ident in known if ident not in entries]
    if missing:
        text += "\n## Not tried\n\n" + ", ".join(missing) + "\n"
    text += TAIL
    with open(os.path.join(ROOT, "docs", "guide", "LANGUAGES.md"), "w", encoding="utf-8") as file:
        file.write(text)
    print(f"docs/guide/LANGUAGES.md: {len(passed)} passed, {len(failed)} failed, {len(missing)} not tested")


if __name__ == "__main__":
    main(sys.argv[1:])
