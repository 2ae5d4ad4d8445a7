"""folder: the images folder.

NAME.layers      the names of the image's layers, the bottom one first; evalx reads this file
NAME.manifest    what the image contains: packages, versions, sizes, checksums
NAME.extension   what an extension adds to which image (extension.py); evalx reads this file
.layers/         SUITE_TIME, a base, and NAME_TIME, what the packages of an image add; never changed once complete
.build/          bases before apt was removed, package databases of the layers, downloads.  evalx does not read it; it
                 may be removed; the next build recreates it
"""
import datetime
import fcntl
import glob
import os

from common import Failure, free_bytes, human, read_file, remove_tree, say, write_file


def timestamp():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d%H%M%S")


class Folder:
    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.build = f"{self.path}/.build"
        self.kept_lock = None

    def make(self):
        for folder in (f"{self.path}/.layers", f"{self.build}/state"):
            os.makedirs(folder, exist_ok=True)
        os.chmod(self.path, 0o755)
        os.chmod(f"{self.path}/.layers", 0o755)

    def lock(self):
        """Waits until no other evalx-images works in this folder."""
        self.kept_lock = open(f"{self.build}/lock", "w", encoding="utf-8")  # pylint: disable=consider-using-with
        try:
            fcntl.flock(self.kept_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another evalx-images is running here; waiting")
            fcntl.flock(self.kept_lock, fcntl.LOCK_EX)

    # ---- images ----

    def names(self):
        """The images that exist."""
        return sorted(os.path.basename(path).removesuffix(".layers") for path in glob.glob(f"{self.path}/*.layers"))

    def exists(self, name):
        return os.path.isfile(f"{self.path}/{name}.layers")

    def layers(self, name):
        return read_file(f"{self.path}/{name}.layers").split()

    def top_layer(self, name):
        return (self.layers(name) or [None])[-1]

    def put(self, name, manifest, layers):
        """The image is new from here on: evalx reads the second file."""
        write_file(f"{self.path}/{name}.manifest", "".join(f"{line}\n" for line in manifest))
        write_file(f"{self.path}/{name}.layers", "".join(f"{layer}\n" for layer in layers))

    def remove(self, name):
        for path in (f"{self.path}/{name}.layers", f"{self.path}/{name}.manifest", f"{self.path}/{name}.extension",
                     f"{self.path}/{name}.cdx.json",
                     self.log(name)):
            if os.path.exists(path):
                os.remove(path)

    def manifest(self, name):
        """The words after the key, of each line of the manifest."""
        values = {}
        for line in read_file(f"{self.path}/{name}.manifest").splitlines():
            key, _, value = line.partition(" ")
            values.setdefault(key, []).append(value)
        return values

    def manifest_value(self, name, key):
        return self.manifest(name).get(key, [""])[0]

    # ---- layers ----

    def layer(self, name):
        return f"{self.path}/.layers/{name}"

    def state(self, layer):
        """The package database of a layer."""
        return f"{self.build}/state/{layer}"

    def log(self, name):
        return f"{self.build}/{name}.log"

    def work(self, name):
        return f"{self.build}/work/{name}"

    def downloads(self):
        return f"{self.build}/downloads"

    # ---- bases: a key is a suite, or SUITE-CHECKSUM for a base that a lock describes ----

    def base_root(self, key):
        return f"{self.build}/root-{key}"

    def base_layer(self, key):
        """The layer of a base, or None."""
        return read_file(f"{self.build}/{key}.base").strip() or None

    def base_key(self, layer):
        """The key of the base with this layer, or None."""
        for path in glob.glob(f"{self.build}/*.base"):
            if read_file(path).strip() == layer:
                return os.path.basename(path).removesuffix(".base")
        return None

    def prune(self):
        """Removes layers that no image needs, and downloads."""
        needed = set()
        for path in glob.glob(f"{self.path}/*.layers") + glob.glob(f"{self.build}/*.base"):
            needed.update(read_file(path).split())
        for layer in sorted(set(os.listdir(f"{self.path}/.layers")) - needed):
            remove_tree(self.layer(layer))
            remove_tree(self.state(layer))
            say(f"removed layer {layer}")
        remove_tree(self.downloads())

    def need_disk(self, size, what, also=""):
        """Fails if `size` bytes are not free.  `also` names additional data of unknown size."""
        have = free_bytes(self.path)
        needs = " and ".join(filter(None, (f"up to {human(size)}" if size else "", also))) or "nothing"
        say(f"{what}: needs {needs}, {human(have)} free")
        if size > have:
            raise Failure(f"{what}: not enough space in {self.path}")
