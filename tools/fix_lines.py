#!/usr/bin/python3
"""Brings C lines that are too long within the limit: fix_lines.py [FILE...] (default: all that check_style.py names).

Paragraphs of block comments are wrapped anew from their first long line on; lines of code are given to clang-format one
by one, from the last to the first, so that nothing else in the file moves.
"""
import os
import re
import subprocess
import sys
import textwrap

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_style  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS = check_style.LINE_COLUMNS_MAX
COMMENT = re.compile(r"^(\s*)\* (\S.*)$")
NOT_PROSE = re.compile(r"^(-|\d+\.|\*)\s|\S {3,}\S")


def prose(line, indent=None):
    """The text of a line inside a block comment that may be joined with its neighbours, or None."""
    match = COMMENT.match(line)
    if not match or line.rstrip().endswith("*/") or NOT_PROSE.search(match.group(2)):
        return None
    return match.group(2) if indent in (None, match.group(1)) else None


def wrap_comments(lines):
    out, i = [], 0
    while i < len(lines):
        if len(lines[i]) <= COLUMNS or prose(lines[i]) is None:
            out.append(lines[i])
            i += 1
            continue
        indent = COMMENT.match(lines[i]).group(1)
        words = []
        while i < len(lines) and prose(lines[i], indent) is not None:
            words.append(prose(lines[i], indent))
            i += 1
        # Two blanks after a full stop stay two, wherever the line breaks.
        text = " ".join(words).replace(".  ", ".\u00a0 ")
        for line in textwrap.wrap(text, COLUMNS - len(indent) - 2, break_long_words=False, break_on_hyphens=False):
            out.append(f"{indent}* {line}".replace("\u00a0", " ").rstrip())
    return out


def fix(path):
    full = os.path.join(ROOT, path)
    with open(full, encoding="utf-8") as file:
        lines = file.read().split("\n")
    wrapped = wrap_comments(lines)
    if wrapped != lines:
        with open(full, "w", encoding="utf-8") as file:
            file.write("\n".join(wrapped))
    for number in reversed([n for n, line in enumerate(wrapped, 1) if len(line) > COLUMNS]):
        subprocess.run(["clang-format", "--style=file", "-i", f"--lines={number}:{number}", full], check=True)


def main(argv):
    long_lines = {finding[0] for finding in check_style.check_tree(ROOT) if finding[2] == "line-length"}
    for path in sorted(set(argv[1:]) or long_lines):
        if path.endswith((".c", ".h")):
            fix(path)
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
