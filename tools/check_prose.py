#!/usr/bin/python3
"""Checks the language of the documents, comments and messages.

Usage: check_prose.py [ROOT].  Prints "path:line: rule: what is wrong" and ends with 1 if anything was found.

Documents (Markdown outside tables, code and generated files): the mean sentence of a file has at most 20 words, and no
sentence has more than 35.  Documents, C sources and the man page: no phrase of BANNED.
"""
import os
import re
import sys

from check_style import tracked_files

MEAN_WORDS_MAX = 20
SENTENCE_WORDS_MAX = 35
GENERATED = {"docs/guide/LANGUAGES.md"}

# Turns of phrase that a native-speaking engineer would not write, each with what to write instead.
BANNED = [
    (r"\bfor who\b", "for readers (or users) who"),
    (r"\bwho (?:has|have) (?:it|one|none)\b", "name the owner"),
    (r"\bhas it not\b", "does not have it"),
    (r"\bthe walls? (?:stand|of)\b", "isolation"),
    (r"\bthat of wh(?:o|om|at)\b", "repeat the noun"),
    (r"\bsays? so (?:it)?self\b", "reports it"),
    (r"\bis said so\b", "is reported"),
    (r"\bwhat is there\b", "what exists"),
    (r"\b(?:lies|lie|stands|stand) (?:there|ready|beside|in the way)\b", "is stored, exists"),
    (r"\bis no reason to\b", "does not cause"),
    (r"\bmay not come in\b", "is refused"),
    (r"\bmakes no sense\b", "is invalid"),
    (r"\bfor ever\b", "forever, without a limit"),
    (r"\bsays? why not\b", "gives the reason"),
    (r"\bof (?:its|their) own (?:accord|self)\b", "by itself"),
    (r"\bgoes its way\b", "continues"),
    (r"\bgave itself up\b", "gave up"),
    (r"\bas (?:good|well) as never\b", "almost never"),
    (r"\bcosts? (?:it )?dear(?:ly)?\b", "is expensive"),
]
BANNED = [(re.compile(pattern, re.I), instead) for pattern, instead in BANNED]


def prose_blocks(text):
    """Paragraphs and list items of a Markdown document, each with the line where it begins."""
    blocks, block, at, fenced = [], [], 0, False

    def close():
        if block:
            blocks.append((at, " ".join(block)))
            block.clear()

    for number, line in enumerate(text.split("\n"), 1):
        if re.match(r"\s*(```|~~~)", line):
            fenced = not fenced
            close()
            continue
        bare = line.strip()
        starts_item = re.match(r"\s*([-*+]|\d+\.)\s+", line)
        is_code = line.startswith("    ") and not block
        if fenced or not bare or is_code or bare.startswith(("|", "#", "<", "[!", "![")):
            close()
            continue
        if starts_item:
            close()
            bare = bare[len(starts_item.group(0).strip()):].strip()
        if not block:
            at = number
        block.append(bare.lstrip("> "))
    close()
    return blocks


def sentences(block):
    block = re.sub(r"\]\([^)]*\)", "]", block)
    block = re.sub(r"`[^`]*`", "CODE", block)
    block = re.sub(r"\b(e\.g|i\.e|etc|vs|cf|approx|no|nos)\.", lambda m: m.group(0)[:-1], block)
    for part in re.split(r"(?<=[.!?])[\"')*\]]*\s+(?=[\"'(*\[]*[A-Z0-9`])", block):
        words = re.findall(r"[A-Za-z0-9][\w'./%-]*", part)
        if words:
            yield part, len(words)


def check_document(path, text):
    lengths = []
    for line, block in prose_blocks(text):
        for sentence, words in sentences(block):
            lengths.append(words)
            if words > SENTENCE_WORDS_MAX:
                yield path, line, "long-sentence", f"{words} words, at most {SENTENCE_WORDS_MAX}: {sentence[:70]}..."
    if lengths and sum(lengths) / len(lengths) > MEAN_WORDS_MAX:
        mean = sum(lengths) / len(lengths)
        yield path, 1, "mean-sentence", f"the mean sentence has {mean:.1f} words, at most {MEAN_WORDS_MAX}"


def check_phrases(path, text):
    for pattern, instead in BANNED:
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield path, line, "phrase", f'"{match.group(0)}": write it plainly ({instead})'


def check_file(path, text):
    if path.endswith(".md") and path not in GENERATED:
        yield from check_document(path, text)
        yield from check_phrases(path, text)
    elif path.startswith(("src/", "man/")) and path.endswith((".c", ".h", ".1", ".lua")):
        yield from check_phrases(path, text)


def check_tree(root):
    findings = []
    for path in tracked_files(root):
        full = os.path.join(root, path)
        if path.startswith(("tests/fuzz/corpus/", "tests/sandbox/attacks/")) and not path.endswith("README.md"):
            continue
        if not os.path.isfile(full) or not path.endswith((".md", ".c", ".h", ".1", ".lua")):
            continue
        with open(full, encoding="utf-8", errors="replace") as file:
            findings += check_file(path, file.read())
    return findings


def main(argv):
    root = os.path.abspath(argv[1] if len(argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    findings = check_tree(root)
    for path, line, rule, what in findings:
        print(f"{path}:{line}: {rule}: {what}")
    print(f"check_prose: {len(findings)} finding{'' if len(findings) == 1 else 's'}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
