"""cli: the command line of evalx-images."""
import os
import sys

import extension
import layer
from build import Builder, own_mounts
from common import Failure, free_bytes, human, output_of, say
from folder import Folder
from locks import Locks
from mirrors import MOVING, Mirrors
from recipes import Recipes, check_name
from store import Store

USAGE = """usage: evalx-images COMMAND [OPTIONS] [NAME...]

  build NAME... | --all    builds images that are missing or whose keys in the language files changed
  update [NAME...]         rebuilds images (default: all that exist) from today's packages; evalx uses the new layers
                           from its next start, then `prune` removes the old ones
  extend IMAGE --name NAME adds packages to an image or to that of a language version: --pypi, --npm, --maven, --gomod,
                           --crates and --apt each name a file with one package a line, or packages.  The new image is
                           an extension: docs/IMAGES.md
  lock NAME... | --all     writes locks: files that name each package of an image, with its version and checksum.  A
                           build with a lock uses just these.  Locks of a suite that changes daily have no packages
                           of the distribution, because its mirror keeps only the newest
  fetch NAME... | --all    fetches all that images need into the folder of --packages, for builds without network
  list                     lists images that exist or that language files name
  verify [NAME...]         compares each layer with its manifest, and searches for files that no image may contain
  remove NAME...           removes images, and layers that no other image needs
  prune                    removes layers that no image needs, and downloads

  A name may be that of a set: default, judge, science, all (the file `sets` of the language files).

  --suite SUITE            overrides the suite in the language files
  --mirror URL             the package mirror, for Debian's suites; given a second time, with a path that ends in
                           "ubuntu", for Ubuntu's (default: this machine's mirror, else the distribution's).
                           pypi=URL, npm=URL, maven=URL, gomod=URL, crates=URL: a mirror of that registry
  --images FOLDER          default: EVALX_IMAGES, else /opt/evalx/chroots
  --languages FOLDER       default: EVALX_LANGUAGES, else /etc/evalx/languages, else the source tree's
  --unlocked               builds from today's packages; locks are not read
  --packages FOLDER        builds from what `fetch` put there; nothing comes from the network
  --force                  also rebuilds images that are up to date
"""


class Settings:
    """The arguments."""

    def __init__(self, words):
        self.suite = None
        self.mirrors = []
        self.images = os.environ.get("EVALX_IMAGES") or "/opt/evalx/chroots"
        self.languages = os.environ.get("EVALX_LANGUAGES")
        self.packages = None
        self.name = None
        self.added = {}
        self.all = self.force = self.unlocked = False
        self.names = []
        values = {"--suite": "suite", "--images": "images", "--languages": "languages", "--packages": "packages",
                  "--name": "name"}
        words = iter(words)
        for word in words:
            if word in (*values, *extension.OPTIONS, "--mirror"):
                value = next(words, None)
                if value is None:
                    raise Failure(f"{word} requires a value")
                if word == "--mirror":
                    self.mirrors.append(value)
                elif word in extension.OPTIONS:
                    key = extension.OPTIONS[word]
                    self.added.setdefault(key, []).extend(extension.words_of(key, value))
                else:
                    setattr(self, values[word], value)
            elif word in ("--all", "--force", "--unlocked"):
                setattr(self, word[2:], True)
            elif word.startswith("-"):
                usage()
            else:
                self.names.append(word)
        self.mirrors = self.mirrors or os.environ.get("EVALX_MIRROR", "").split()


def usage():
    sys.stderr.write(USAGE)
    sys.exit(2)


class Program:
    def __init__(self, settings):
        self.settings = settings
        self.names = settings.names
        self.folder = Folder(settings.images)
        self.recipes = None
        self.builder = None

    def start(self, needs_root, reads_languages):
        if needs_root:
            self.folder.make()
            self.folder.lock()
        if reads_languages:
            self.recipes = Recipes(self.settings.languages, self.folder.path)
            self.builder = self._builder(self.settings.packages)

    def _builder(self, packages):
        """`packages`: the folder of --packages, for a build from nothing else."""
        settings, mirrors = self.settings, Mirrors(self.settings.mirrors)
        store = Store(packages or self.folder.downloads(), mirrors, bool(packages))
        locks = Locks(f"{packages or self.recipes.folder}/locks")
        return Builder(settings.suite, self.folder, self.recipes, mirrors, store, None if settings.unlocked else locks)

    # ---- commands ----

    def _each_name(self, what, action):
        """Continues after a failure, and fails at the end."""
        if self.settings.all:
            self.names = self.recipes.names()
        self.names = self.recipes.expanded(self.names)
        if not self.names:
            raise Failure(f"{what}: expected names of images, or --all")
        own_mounts()
        failed = []
        for number, name in enumerate(self.names, 1):
            if len(self.names) > 1:
                say(f"{name}: {number} of {len(self.names)}")
            try:
                action(name)
            except Failure as error:
                print(f"evalx-images: {error}", file=sys.stderr)
                failed.append(name)
        used = output_of("du", "-sh", f"{self.folder.path}/.layers").split()[0]
        say(f"{used} in layers, {human(free_bytes(self.folder.path))} free")
        if failed:
            raise Failure(f"not {'built' if what == 'build' else f'{what}ed'}: {' '.join(failed)}")

    def build(self):
        self._each_name("build", lambda name: self.builder.build(name, self.settings.force))

    def lock(self):
        if self.settings.unlocked or self.settings.packages:
            raise Failure("lock: --unlocked and --packages are for builds")
        self._each_name("lock", lambda name: self.builder.make_lock(name, self.builder.suite(name) not in MOVING))

    def fetch(self):
        if not self.settings.packages:
            raise Failure("fetch: expected --packages FOLDER")
        self.builder.store.is_complete = False
        self._each_name("fetch", lambda name: self.builder.make_lock(name, True))

    def extend(self):
        if len(self.names) != 1 or not self.settings.name or not self.settings.added:
            raise Failure("extend: expected an image, --name NAME, and packages to add, as in --pypi requirements.txt")
        name = self.settings.name
        on = extension.image_of(self.builder.recipes, self.names[0])
        text = extension.description(on, self.settings.added)
        own_mounts()
        with extension.Description(self.folder, self.builder.recipes, name, text):
            self.start(False, True)
            self.builder.build(name, self.settings.force)
        languages = " ".join(self.builder.recipes.get(name).of("language"))
        say(f"restart evalx to use it; then test it: evalx languages verify {languages}")

    def update(self):
        self.names = self.names or self.folder.names()
        bases = [self.builder.base(suite) for suite in {self.builder.suite(name) for name in self.names}]
        for base in bases:
            base.mark_outdated()
        try:
            self.build()
        finally:
            for base in bases:
                base.mark_current()
        say("evalx uses the new layers from its next start; then run: evalx-images prune")

    def list(self):
        recipes = self.recipes
        print(f"{'IMAGE':18} {'SUITE':10} {'SIZE':>8} {'PACKAGES':>9}  {'STATE':22} LANGUAGES")
        for name in sorted({*self.folder.names(), *recipes.names()}):
            recipe, manifest = recipes.get(name), self.folder.manifest(name)
            state, size = "not built", "-"
            if self.folder.exists(name):
                state, size = manifest.get("built", [""])[0], human(int(manifest.get("bytes", ["0"])[0]))
                if recipe.of("suite") and not self.builder.is_current(name):
                    state = "out of date"
            suite = (manifest.get("suite") or recipe.of("suite") or [""])[0]
            print(f"{name:18} {suite:10} {size:>8} {len(manifest.get('package', [])):9}  {state:22} "
                  f"{' '.join(recipe.of('language'))}")

    def verify(self):
        is_bad = False
        for name in self.names or self.folder.names():
            top = self.folder.top_layer(name)
            if top is None:
                problem = "not built"
            else:
                problem = layer.problems(self.folder.layer(top), self.folder.manifest_value(name, "sha256"))
            is_bad = is_bad or bool(problem)
            say(f"{name}: {problem or 'matches its manifest'}")
        if is_bad:
            raise Failure("some images have changed since they were built: evalx-images build --force NAME")

    def remove(self):
        if not self.names:
            raise Failure("remove: expected names of images")
        for name in self.names:
            check_name(name)
            if not self.folder.exists(name):
                raise Failure(f"image {name} does not exist")
            for other in set(self.folder.names()) - set(self.names):
                if self.folder.top_layer(name) in self.folder.layers(other):
                    raise Failure(f"image {other} is based on {name}")
        for name in self.names:
            self.folder.remove(name)
            say(f"{name}: removed")
        self.prune()

    def prune(self):
        self.folder.prune()


ROOT_COMMANDS = ("build", "extend", "update", "lock", "fetch", "verify", "remove", "prune")
LANGUAGE_COMMANDS = ("build", "extend", "update", "lock", "fetch", "list")


def main(words):
    if not words:
        usage()
    command, *words = words
    if command in ("help", "-h", "--help"):
        print(USAGE, end="")
        return 0
    if command not in (*ROOT_COMMANDS, *LANGUAGE_COMMANDS):
        usage()
    try:
        program = Program(Settings(words))
        if command in ROOT_COMMANDS and os.geteuid() != 0:
            raise Failure(f"{command} needs root: sudo evalx-images {command} ...")
        program.start(command in ROOT_COMMANDS, command in LANGUAGE_COMMANDS)
        getattr(program, command)()
    except Failure as error:
        print(f"evalx-images: {error}", file=sys.stderr)
        return 1
    return 0
