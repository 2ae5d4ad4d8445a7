#!/usr/bin/python3
"""Tests and measures languages one after the other, as root: measure_languages.py EVALX OUT.json [ID...]

Without IDs, all available languages.  EVALX_LANGUAGES and EVALX_IMAGES are their folders.  OUT.json gets the output of
`evalx languages verify --measure --json`, what the manifest of the image says, and `plain_ms`, measured right after it,
so that other work on the machine affects both equally.  Entries of OUT.json for other languages stay.  The exit status
is 1 if a language does not work.
"""
import json
import os
import subprocess
import sys
import time

import language_file
import plain_start

IMAGES = os.environ.get("EVALX_IMAGES", "/opt/evalx/chroots")


def available(evalx):
    done = subprocess.run([evalx, "languages", "--json"], stdout=subprocess.PIPE, text=True, check=True)
    return [entry["id"] for entry in json.loads(done.stdout) if entry["available"]]


def verify(evalx, ident):
    done = subprocess.run([evalx, "languages", "verify", "--measure", "--json", ident], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    try:
        (entry,) = json.loads(done.stdout)
    except ValueError:
        return {"id": ident, "works": False, "reason": done.stderr.strip() or f"status {done.returncode}", "cases": {}}
    return entry


def manifest(image):
    """Size, checksum and sources of an image; None for the host."""
    path = os.path.join(IMAGES, image + ".manifest")
    if not os.path.exists(path):
        return None
    found = {"name": image, "sources": {}}
    with open(path, encoding="utf-8") as file:
        for key, *words in (line.split() for line in file):
            if key in ("suite", "bytes", "sha256"):
                found[key] = words[0]
            elif key == "artefact":
                found["sources"][words[0]] = found["sources"].get(words[0], 0) + 1
    return found


def told(entry):
    if not entry["works"]:
        wrong = [why for why in entry["cases"].values() if why is not True]
        wrong += [why for why in entry.get("packages", {}).values() if isinstance(why, str)]
        return "FAILS\n    " + "\n    ".join(wrong or [entry["reason"]])
    plain = f"{entry['plain_ms']:.1f} ms plain" if entry["plain_ms"] else f"no plain start: {entry['plain_error']}"
    return (f"works ({len(entry['cases'])} tests, hello {entry['hello_seconds'] * 1000:.1f} ms, {plain}, "
            f"from {entry['smallest_memory_bytes'] >> 20} MiB, live data {entry['live_data_percent'] or '-'} %, "
            f"{len(entry['packages'])} packages)")


def write(path, entries):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump([entries[ident] for ident in sorted(entries)], file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)


def main(evalx, path, idents):
    entries = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            entries = {entry["id"]: entry for entry in json.load(file)}
    idents = idents or available(evalx)
    began = time.monotonic()
    for ident in idents:
        entry = verify(evalx, ident)
        if entry["works"]:
            entry["plain_ms"], entry["plain_error"] = plain_start.plain_ms(IMAGES, ident)
            entry["image"] = manifest(language_file.read(ident)["image"])
        entries[ident] = entry
        write(path, entries)
        print(f"[{time.monotonic() - began:4.0f} s] {ident:<18} {told(entry)}", flush=True)
    failed = [ident for ident in idents if not entries[ident]["works"]]
    print(f"{len(idents) - len(failed)} passed, {len(failed)} failed" + (": " + " ".join(failed) if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
