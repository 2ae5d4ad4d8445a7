"""assembly: compares two outputs of g++ -S, which may differ in the order of functions and in the numbers of labels."""
from collections import Counter
import re

SECTION = re.compile(r"\t\.(?:section|text|data|bss)\b")
# Directives that name symbols, one per line; each is a separate piece.
DIRECTIVE = re.compile(r"\t\.(?:weak|globl|type|size|set|local|comm|hidden|internal)\t|\w+ *= *")
# Of the unit, or empty, or said where the personality is first needed.
IGNORED = re.compile(r"\t\.(?:file|ident|globl\t__gxx_personality_v0)|\.L(?:COLD|HOT)[BE]\d+:")
CONSTANT = re.compile(r"\t\.(?:string|ascii|long|quad|value|byte|zero)\t")
LABEL = re.compile(r"\.L[A-Z]*\d+\b")
# "digits.3": statics of functions, numbered as they come; clones are counted for each function and keep theirs.
NUMBERED = re.compile(r"\b(\w+)(?<!constprop)(?<!isra)(?<!part)(?<!cold)\.\d+\b(?!\.)")


def without_constants(text):
    """(lines, the constant of each label .LC)"""
    lines, constants, section, label = [], {}, "", None
    for line in text.split("\n"):
        if IGNORED.match(line):
            continue
        if SECTION.match(line):
            section, label = line.split(",")[0], None
        elif re.match(r"\.LC\d+:", line):
            label = line[:-1]
            constants[label] = ""
            continue
        elif label and CONSTANT.match(line):
            constants[label] += line
            continue
        elif ".rodata" in section and line.startswith("\t.align"):
            label = None
            continue
        lines.append(line)
    return lines, constants


def pieces(text):
    """Functions, data and directives, each with its section, labels counted from the function's begin, and constants in
    place of their labels."""
    lines, constants = without_constants(text)
    found, piece, names, section = Counter(), [], {}, ""

    def name(match):
        label = match.group(0)
        if label in constants:
            return "{" + constants[label] + "}"
        return names.setdefault(label, re.sub(r"\d+", "", label) + f"#{len(names)}")

    def end():
        if piece:
            if any(re.match(r"[A-Za-z_].*(?<!\.cold):", line) for line in piece):
                names.clear()
            found[NUMBERED.sub(r"\1.#", LABEL.sub(name, "\n".join([section, *piece])))] += 1
            piece.clear()

    for line in lines:
        if SECTION.match(line) or line == "\t.previous":
            end()
            section = line.split(",")[0]
        elif DIRECTIVE.match(line):
            if not all("align" in other for other in piece):
                end()
            found[NUMBERED.sub(r"\1.#", LABEL.sub("", line))] += 1
        else:
            piece.append(line)
    end()
    return found
