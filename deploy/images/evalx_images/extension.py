"""extension: an image that adds an operator's packages to another image (docs/IMAGES.md).

IMAGES/NAME.extension says what it adds, in the form of a language file.  evalx reads it, so to everything here an
extension is an image like those of the language files.
"""
import json
import os
import re
import textwrap

from common import Failure, read_file, write_file
from recipes import REGISTRIES

SUFFIX = ".extension"
NAME = re.compile(r"[a-z][a-z0-9._-]{0,30}")  # evalx reads no other (src/model/image_extension.h)
OPTIONS = {f"--{key}": key for key in REGISTRIES} | {"--apt": "packages"}
WORD = re.compile(r"[A-Za-z0-9@][^\s;#{}]*")
LINE_BYTES = 190  # evalx reads lines of at most 198 bytes
WORDS_MAX = 128   # of one key


def path_of(folder, name):
    return f"{folder.path}/{name}{SUFFIX}"


def file_lines(path):
    """The lines of a list of packages, without comments, and without the checksums that pip writes."""
    for line in read_file(path).replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)(#|//).*|\s--hash=\S+", "", line).strip()
        if line:
            yield line


def package_json(path):
    """The dependencies of a project of npm."""
    try:
        found = json.loads(read_file(path)).get("dependencies", {})
    except ValueError as error:
        raise Failure(f"{path}: {error}") from None
    return [f"{name}@{version}" for name, version in found.items()]


def go_mod(path):
    """The modules that a go.mod requires."""
    lines = [line.removeprefix("require ").strip() for line in file_lines(path)]
    return [line.replace(" ", "@") for line in lines if re.fullmatch(r"\S+\.\S+ v\S+", line)]


def words_of(key, value):
    """The packages that the value of an option names: a file with one a line, or words split at blanks or commas."""
    if not os.path.isfile(value):
        if key == "pypi" and value.endswith(".txt"):
            raise Failure(f"{value} does not exist")
        words = value.split()
    elif key == "npm" and value.endswith(".json"):
        words = package_json(value)
    elif key == "gomod" and value.endswith("go.mod"):
        words = go_mod(value)
    else:
        words = ["".join(line.split()) if key == "pypi" else line for line in file_lines(value)]
    for word in words:
        if not WORD.fullmatch(word) or "://" in word:
            raise Failure(f"{value}: expected packages by name, as NAME or with a version; got {word!r}")
    if not words:
        raise Failure(f"{value} names no packages")
    return words


def description(on, words):
    """The text of NAME.extension."""
    lines = ["# Written by evalx-images extend; docs/IMAGES.md describes it.", "[image]", f"on = {on}"]
    for key, listed in words.items():
        if len(listed) > WORDS_MAX:
            raise Failure(f"{key}: {len(listed)} packages; an extension names at most {WORDS_MAX}, without those that "
                          "they need")
        filled = textwrap.wrap(" ".join(listed), LINE_BYTES - len(key) - 3, break_long_words=False,
                               break_on_hyphens=False)
        lines += [f"{key} = {filled[0]}", *(f"  {line}" for line in filled[1:])]
    return "".join(f"{line}\n" for line in lines)


def image_of(recipes, base):
    """The image of a language version, by its id, or the image of that name."""
    images = {name: [each for each in recipes.get(name).of("language") if "@" not in each] for name in recipes.names()}
    for name, languages in images.items():
        if languages and base in (name, *languages):
            return name
    known = " ".join(sorted(name for name, languages in images.items() if languages))
    raise Failure(f"extend: {base} is no image of a language: {known}")


class Description:
    """NAME.extension while the image is built: after a failure it says again what the existing image is."""

    def __init__(self, folder, recipes, name, text):
        if not NAME.fullmatch(name) or name == "host":
            raise Failure(f'--name: "{name}" is not a valid name: expected at most 31 characters a-z 0-9 . _ - that '
                          "begin with a letter")
        self.path = path_of(folder, name)
        if not os.path.exists(self.path) and (folder.exists(name) or recipes.get(name).is_defined()):
            raise Failure(f"--name: there is an image {name} already")
        self.before = read_file(self.path)
        self.text = text

    def __enter__(self):
        write_file(self.path, self.text)

    def __exit__(self, kind, *_):
        if kind is not None and self.before:
            write_file(self.path, self.before)
        elif kind is not None:
            os.remove(self.path)
