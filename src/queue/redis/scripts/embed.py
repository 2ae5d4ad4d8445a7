#!/usr/bin/python3
"""Embeds the Lua scripts into a C header: embed.py OUTPUT common.lua NAME.lua...

Each script consists of its first line (the flags that Redis reads), common.lua, and its other lines.  EVALSHA names it
by the SHA-1 of exactly these bytes, which is computed here once instead of in every process.
"""
import hashlib
import pathlib
import sys


def c_string(text):
    lines = text.splitlines(keepends=True)
    quoted = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines)
    return "\n".join(f'        "{line}"' for line in quoted)


def main():
    output, common, *names = map(pathlib.Path, sys.argv[1:])
    prelude = common.read_text(encoding="utf-8")
    rows = []
    for path in names:
        flags, rest = path.read_text(encoding="utf-8").split("\n", 1)
        if not flags.startswith("#!lua"):
            sys.exit(f"{path}: the first line must be #!lua, with its flags")
        text = f"{flags}\n{prelude}{rest}"
        sha = hashlib.sha1(text.encode()).hexdigest()
        fields = f'        "{path.stem}",\n        "{sha}",\n{c_string(text)},\n'
        rows.append(f"    [REDIS_{path.stem.upper()}] = {{\n{fields}    }},")
    enum = "".join(f"    REDIS_{path.stem.upper()},\n" for path in names)
    output.write_text(
        "/* Made by embed.py from the scripts; do not edit. */\n#pragma once\n\n"
        f"enum redis_script {{\n{enum}    REDIS_SCRIPT_COUNT_,\n}};\n\n"
        "static const struct {\n    const char *name, *sha, *text;\n} redis_scripts[] = {\n"
        + "\n".join(rows) + "\n};\n", encoding="utf-8")


main()
