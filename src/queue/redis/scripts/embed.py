#!/usr/bin/python3
"""Embeds the Lua scripts into a C header: embed.py OUTPUT common.lua NAME.lua...

Each script consists of its first line (the flags that Redis reads), the definitions of common.lua that it needs, and
its other lines.  Redis runs all of a script at each call, so definitions it does not need would cost time.  EVALSHA
names it by the SHA-1 of exactly these bytes, which is computed here once instead of in every process.
"""
import hashlib
import pathlib
import re
import sys


def c_string(text):
    lines = text.splitlines(keepends=True)
    quoted = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for line in lines)
    return "\n".join(f'        "{line}"' for line in quoted)


def definitions(common):
    """The names and the text of each definition: from a line with `local` at its beginning to the next one."""
    code = re.sub(r"^ *--.*\n", "", common, flags=re.MULTILINE)
    for text in re.split(r"^(?=local )", code, flags=re.MULTILINE)[1:]:
        names = re.match(r"local (?:function )?([\w, ]+)", text)[1]
        yield set(names.replace(",", " ").split()), text


def needed(common, script):
    """The definitions that the script uses, and those that these use, in their order."""
    used, kept = set(re.findall(r"\w+", re.sub(r"--.*", "", script))), ""
    for names, text in reversed(list(definitions(common))):
        if names & used:
            used |= set(re.findall(r"\w+", text))
            kept = text + kept
    return kept


def main():
    output, common, *names = map(pathlib.Path, sys.argv[1:])
    prelude = common.read_text(encoding="utf-8")
    rows = []
    for path in names:
        flags, rest = path.read_text(encoding="utf-8").split("\n", 1)
        if not flags.startswith("#!lua"):
            sys.exit(f"{path}: the first line must be #!lua, with its flags")
        text = f"{flags}\n{needed(prelude, rest)}{rest}"
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
