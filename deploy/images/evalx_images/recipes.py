"""recipes: what images are made of, as the language files say it.  evalx reads the files."""
import os
import re
import subprocess
import tempfile

from common import Failure, file_sha256, read_file

HERE = os.path.dirname(os.path.abspath(__file__))
REGISTRIES = ("pypi", "npm", "maven", "gomod", "crates")
NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,60}")


def check_name(name):
    if not NAME.fullmatch(name) or name == "host":
        raise Failure(f'"{name}" is not a valid image name')


def evalx_binary():
    """evalx of the clone's build, or the installed one."""
    known = (os.environ.get("EVALX_BINARY"), f"{HERE}/../../../build/evalx", f"{HERE}/../../../bin/evalx")
    return next((path for path in known if path and os.access(path, os.X_OK)), "evalx")


class Recipe:
    """What the language files ask for in one image.  words[KEY] is a list in the order of the files."""

    def __init__(self, name):
        self.name = name
        self.words = {}

    def of(self, key):
        return self.words.get(key, [])

    def is_defined(self):
        return any(self.of(key) for key in ("suite", "packages", *REGISTRIES))

    def on(self):
        """The image below this one, or None."""
        found = self.of("on")
        if len(found) > 1:
            raise Failure(f"image {self.name}: only one image can be below it: {' '.join(found)}")
        return found[0] if found else None

    def suite(self, forced=None):
        found = [forced] if forced else self.of("suite")
        if not found:
            raise Failure(f"image {self.name}: its language files name no suite; --suite gives one")
        if len(found) > 1:
            raise Failure(f"image {self.name}: its language files name several suites: {' '.join(found)}")
        return found[0]


class Recipes:
    """`images`: the images folder, whose extensions count too."""

    def __init__(self, folder, images):
        if not folder:
            folder = "/etc/evalx/languages"
            if not os.path.isdir(folder):
                folder = os.path.realpath(f"{HERE}/../../../languages")
        if not os.path.isdir(folder):
            raise Failure(f"the languages folder {folder} does not exist")
        self.folder = folder
        self.images_folder = images
        self.images = {}
        for line in dict.fromkeys(self._read().splitlines()):
            image, key, word = line.split("\t", 2)
            self.get(image).words.setdefault(key, []).append(word)

    def _read(self):
        # The settings of a server on this machine do not matter, and may not be readable.
        with tempfile.NamedTemporaryFile() as no_settings:
            command = [evalx_binary(), "languages", "--images", "--set", f"languages={self.folder}", "--set",
                       f"images={self.images_folder}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False,
                                  env=dict(os.environ, EVALX_CONFIG=no_settings.name))
        if done.returncode != 0:
            raise Failure(f"cannot read the language files in {self.folder}")
        return done.stdout

    def get(self, image):
        return self.images.setdefault(image, Recipe(image))

    def names(self):
        return sorted(self.images)

    def sets(self):
        """Groups of images, from the file `sets`."""
        found = {"all": self.names()}
        for line in read_file(f"{self.folder}/sets").splitlines():
            name, sign, images = line.partition("=")
            if sign and not line.startswith("#"):
                found[name.strip()] = images.split()
        return found

    def expanded(self, names):
        """The images that names of images and sets stand for, each once."""
        sets = self.sets()
        return list(dict.fromkeys(image for name in names for image in sets.get(name, [name])))

    def setup_file(self, name):
        return f"{self.folder}/setup/{name}"

    def setup_lines(self, recipe):
        """The content of the files that setup uses, as lines for a checksum."""
        for name in recipe.of("setup_files"):
            try:
                yield f"{file_sha256(self.setup_file(name))}  {name}"
            except OSError:
                raise Failure(f"image {recipe.name}: {self.setup_file(name)} cannot be read") from None
