"""Languages for the tools and tests, as evalx itself reads them.

`evalx languages --json` prints every language with all that it inherits, so that language files have one reader.
"""
import functools
import json
import os
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
EVALX = os.path.abspath(os.environ.get("EVALX_BINARY", os.path.join(ROOT, "build", "evalx")))


@functools.lru_cache(maxsize=None)
def read_all(folder=os.path.join(ROOT, "languages")):
    """The languages of a folder by id, in the order of their ids."""
    done = subprocess.run([EVALX, "languages", "--json", "--set", "languages=" + os.path.abspath(folder)],
                          stdout=subprocess.PIPE, text=True, check=True)
    return {entry["id"]: entry for entry in json.loads(done.stdout)}


def read(ident):
    return read_all()[ident]


def command(entry, key):
    """The words of `compile` or `run`, as command_expand (src/model/command.c) fills them if nothing is prepared."""
    limit = entry["limits"]["memory_bytes"] >> 20
    heap = (limit << 20) // 100 * entry["heap"]["percent"] - entry["heap"]["less_bytes"]
    stack = entry["limits"]["stack_bytes"] // 8 * 7
    values = {"{source}": entry["source"], "{binary}": entry["binary"], "{main}": entry["source"].rsplit(".", 1)[0],
              "{memory_mb}": str(limit), "{heap_mb}": str(max(1, heap >> 20)),
              "{stack_kb}": str(stack >> 10), "{stack_mb}": str(stack >> 20)}
    words = []
    for word in entry[key]:
        if word == "{assertions}":
            words += entry["no_assertions"]
            continue
        if word in ("{args}", "{files}") or "{prepared}" in word or "{if_prepared}" in word:
            continue
        for name, value in values.items():
            word = word.replace(name, value)
        words.append(word)
    return words


def text(entry):
    """A language file of this one language that inherits nothing."""
    lines = [f"{key} = {entry[key]}" for key in ("id", "name", "version", "image", "class", "source", "binary",
                                                 "heap_full", "crlf", "stack") if entry[key]]
    lines.append(f"heap = {entry['heap']['percent']}% - {entry['heap']['less_bytes']}")
    lines.append("one_major = " + ("yes" if entry["one_major"] else "no"))
    lines.append("prestart = " + ("yes" if entry["prestart"] else "no"))
    # A word a line: lines have at most 198 bytes.
    lists = ("aliases", "versions", "standards", "compile", "run", "suffixes", "assertions", "no_assertions",
             "cold_if", "env", "needs")
    lines += [f"{key} = " + "\n  ".join(entry[key]) for key in lists if entry[key]]
    if entry["syntax_error"]:
        lines.append(block("syntax_error", "\n".join(entry["syntax_error"])))
    for name, limits in (("limits", entry["limits"]), ("compile_limits", entry["compile_limits"]),
                         ("prepare_limits", entry["prepare"]["limits"])):
        lines += [f"[{name}]"] + [f"{key} = {value}" for key, value in limits.items()]
    lines += ["[prepare]", "depends = " + "\n  ".join(entry["prepare"]["depends"]),
              block("script", entry["prepare"]["script"]), "[hello]"]
    lines += [block(key, value) for key, value in entry["hello"].items()]
    return "\n".join(lines) + "\n"


def block(key, value):
    return f"{key} =" + "".join("\n  |" + line for line in value.splitlines())
