"""The language files as the tools read them: values as text, blocks as they are meant, commands filled in.

The form is languages/README.md's; evalx itself reads it by src/config/ini_file.c and refuses what is wrong, so nothing
is checked here.
"""
import os
import re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MEMORY_MB = 256  # a run's memory limit where neither the request nor the file has one
HEAP_PERCENT = 60
BLOCKS = ("hello", "prepare")


def read(ident):
    """{section: {key: value}}; the keys at the top are in section "".  Lines of a block keep their blanks."""
    sections = {"": {}}
    section, key = "", None
    with open(os.path.join(ROOT, "languages", ident + ".conf"), encoding="utf-8") as file:
        for line in file.read().splitlines():
            text = line.strip()
            if not text or text[0] in "#;":
                continue
            if line[0] == "[":
                section, key = text[1:text.index("]")], None
                sections[section] = {}
            elif line[0] in " \t" and key is not None:
                sections[section][key] += "\n" + without_comment(text)
            else:
                key, _, value = text.partition("=")
                key = key.strip()
                sections[section][key] = without_comment(value.strip())
    for name in BLOCKS:
        for key, value in sections.get(name, {}).items():
            sections[name][key] = "".join(one.removeprefix("|") + "\n" for one in value.removeprefix("\n").split("\n"))
    return sections


def without_comment(text):
    return text if text.startswith("|") else re.sub(r"\s;.*$", "", text)


def memory_mb(sections):
    size = sections.get("limits", {}).get("memory_bytes", f"{MEMORY_MB}m")
    return int(size[:-1]) * {"k": 1, "m": 1024, "g": 1024 * 1024}[size[-1]] // 1024


def command(sections, key):
    """The words of `compile` or `run`, as command_expand (src/model/language.c) has them where nothing is prepared."""
    top = sections[""]
    limit = memory_mb(sections)
    values = {"{source}": top["source"], "{binary}": top.get("binary", ""), "{main}": top["source"].rsplit(".", 1)[0],
              "{memory_mb}": str(limit), "{heap_mb}": str(limit * HEAP_PERCENT // 100)}
    words = []
    for word in top.get(key, "").split():
        if word in ("{args}", "{files}") or "{prepared}" in word or "{if_prepared}" in word:
            continue
        for name, value in values.items():
            word = word.replace(name, value)
        words.append(word)
    return words
