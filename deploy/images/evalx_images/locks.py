"""locks: files that name everything an image is made from, with checksums: languages/locks/IMAGE.lock.

A base has a lock of its own, base-SUITE.lock, which locks of images refer to by its checksum.
"""
import hashlib
import json
import os

import artefact
from common import Failure, read_file, write_file
from recipes import REGISTRIES


def words_checksum(recipe, suite):
    """Of what a recipe asks for: a lock belongs to just that."""
    lines = [suite, recipe.on() or ""]
    lines += [f"{key} {word}" for key in ("packages", *REGISTRIES) for word in recipe.of(key)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Lock:
    """What one file says.  `base` is the checksum of the base's lock; without it, packages of the distribution are not
    locked."""

    def __init__(self, name, suite, artefacts, recipe="", base=""):
        self.name = name
        self.suite = suite
        self.recipe = recipe
        self.base = base
        self.artefacts = artefacts

    def of(self, source):
        return [each for each in self.artefacts if each.source == source]

    def text(self):
        head = {"image": self.name, "suite": self.suite, "recipe": self.recipe, "base": self.base}
        start = json.dumps({key: value for key, value in head.items() if value})[:-1]
        lines = ",\n".join(f"  {json.dumps(artefact.to_json(each))}" for each in self.artefacts)
        return f'{start}, "artefacts": [\n{lines}\n]}}\n'

    def checksum(self):
        return hashlib.sha256(self.text().encode()).hexdigest()


class Locks:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return f"{self.folder}/{name}.lock"

    def read(self, name):
        """The lock of an image or a base, or None."""
        text = read_file(self.path(name))
        if not text:
            return None
        try:
            value = json.loads(text)
            artefacts = [artefact.from_json(each) for each in value["artefacts"]]
            lock = Lock(value["image"], value["suite"], artefacts, value.get("recipe", ""), value.get("base", ""))
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"{self.path(name)} is not a lock: {error}") from None
        unsafe = [each for each in artefacts if ".." in each.file.split("/") or each.file.startswith("/")]
        if lock.name != name or unsafe or not all(each.sha256 for each in artefacts):
            raise Failure(f"{self.path(name)}: expected the image {name}, and a path and checksum of each artefact")
        return lock

    def read_for(self, recipe, suite):
        """The lock of an image, which must fit to its recipe and base."""
        lock = self.read(recipe.name)
        if lock is None:
            return None
        update = f"update the lock with: evalx-images lock {recipe.name}"
        if lock.suite != suite:
            raise Failure(f"{recipe.name}: its lock is for {lock.suite}, not {suite}; {update}, or build --unlocked")
        if lock.recipe != words_checksum(recipe, suite):
            raise Failure(f"{recipe.name}: its language files changed since it was locked; {update}")
        if lock.base:
            base = self.read(f"base-{suite}")
            if base is None or base.checksum() != lock.base:
                raise Failure(f"{recipe.name}: base-{suite}.lock changed since it was locked; {update}")
        return lock

    def write(self, lock):
        os.makedirs(self.folder, exist_ok=True)
        write_file(self.path(lock.name), lock.text())
