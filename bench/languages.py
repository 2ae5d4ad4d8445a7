"""languages: the language files as they are, but every one on the host's own interpreter, where it is installed; and C,
also linked statically.

Some name an image that has to be built first; a benchmark beside the host's own command needs the same interpreter on
both sides anyway.
"""
import os
import re

from engine import ROOT, write

# Name, language, the file's interpreter, what is said by the plain command on the host, the program.
INTERPRETERS = [
    ("Python", "python", "/usr/bin/python3", "-c", "print('hello')"),
    ("Node", "javascript", "/usr/bin/node", "-e", "console.log('hello')"),
    ("Ruby", "ruby", "/usr/bin/ruby", "-e", "puts 'hello'"),
    ("PHP", "php", "/usr/bin/php", "-r", "echo \"hello\\n\";"),
]
STATIC_C = "c-static"


def language_file(name):
    with open(os.path.join(ROOT, "languages", name + ".conf"), encoding="utf-8") as file:
        return file.read()


def host_languages(bench):
    """The folder for EVALX_LANGUAGES."""
    folder = os.path.join(bench.folder, "languages")
    if os.path.isdir(folder):
        return folder
    os.mkdir(folder, 0o755)
    found = language_file("c")
    write(os.path.join(folder, "c.conf"), found)
    found = re.sub(r"^id = c$", f"id = {STATIC_C}", re.sub(r"^aliases = .*\n", "", found, flags=re.M), flags=re.M)
    write(os.path.join(folder, STATIC_C + ".conf"), found.replace("-O2", "-O2 -static", 1))
    for _, name, _, _, _ in INTERPRETERS:
        found = re.sub(r"^image = .*$", "image = host", language_file(name), flags=re.M)
        write(os.path.join(folder, name + ".conf"), re.sub(r"^\[image\]\n(?:.+\n)*\n?", "", found, flags=re.M))
    return folder


def program_of(name, code):
    return "<?php " + code if name == "PHP" else code + "\n"
