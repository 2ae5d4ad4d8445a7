"""build: one image.

A layer is built beside the others, stripped, checked and renamed; NAME.layers is renamed last.  An interrupted build
leaves nothing that evalx reads.
"""
import contextlib
import ctypes
import datetime
import hashlib
import importlib
import os
import subprocess

import layer
import recipes
import sbom
from artefact import Artefact
from base import Base, packages_of
from box import Box, BoxFailure, Progress
from common import Failure, human, remove_tree, say, write_file
from folder import timestamp
from locks import Lock, words_checksum
from sources import apt
from store import Mismatch, Vanished, copy_to

NEW_MOUNTS = 0x00020000
DATABASES = ("var/lib/dpkg", "var/lib/ucf")


def own_mounts():
    """From here on this process's mounts are its own, and end with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS) != 0:
        raise Failure(f"cannot have mounts of my own: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def overlay(target, lower, folder):
    """Mounts at `target` what is in `lower`, a list with the topmost first; changes go to folder/upper."""
    for path in (target, f"{folder}/upper", f"{folder}/work"):
        os.makedirs(path, exist_ok=True)
    options = (f"lowerdir={':'.join(lower)},upperdir={folder}/upper,workdir={folder}/work,index=off,metacopy=off,"
               "redirect_dir=off")
    done = subprocess.run(["mount", "-t", "overlay", "evalx-images", target, "-o", options], check=False)
    if done.returncode != 0:
        raise Failure(f"cannot mount an overlay at {target}; if it is on an overlay itself, use a volume")


class Work:
    """An image while it is built."""

    def __init__(self, builder, name, base, lower):
        self.name = name
        self.recipes = builder.recipes
        self.recipe = builder.recipes.get(name)
        self.suite = builder.suite(name)
        self.folder = builder.folder
        self.store = builder.store
        self.mirrors = builder.mirrors
        self.base = base
        self.path = self.folder.work(name)
        self.root = f"{self.path}/root"
        self.scratch = f"{self.path}/scratch"
        self.log = self.folder.log(name)
        self.box = Box(self.root, self.log)
        remove_tree(self.path)
        os.makedirs(self.scratch)
        if os.path.exists(self.log):
            os.remove(self.log)
        overlay(self.root, lower, self.path)

    def tool_box(self, *packages):
        """A box of the same root with packages that only fetching needs; they never reach the image."""
        root = f"{self.path}/tools/root"
        if not os.path.ismount(root):
            overlay(root, [self.root], f"{self.path}/tools")
        box = Box(root, self.log)
        missing = [name for name in packages if not has_package(root, name)]
        if missing:
            self.base.update_if_old(box)
            box.run(*apt.APT, "install", *missing, network=True)
        return box

    def close_tools(self):
        root = f"{self.path}/tools/root"
        if os.path.ismount(root):
            subprocess.run(["umount", root], check=True)
        remove_tree(f"{self.path}/tools")

    def fetch(self, artefacts):
        return self.store.fetch(self.box, artefacts, self.scratch, self.name)

    def install(self, lock=None):
        """Installs what the lock names, or else what the recipe asks for today.  Returns the artefacts."""
        packages = self.recipe.of("packages")
        registries = [key for key in recipes.REGISTRIES if self.recipe.of(key)]
        is_locked = bool(lock and lock.base)
        found = lock.of("apt") if is_locked else apt.resolve(self, packages) if packages else []
        size = sum(artefact.size for artefact in (lock.artefacts if lock else found))
        if found and not is_locked:
            size += apt.installed_bytes(self.box, packages)
        self.folder.need_disk(size, f"{self.name} from {self.suite}",
                              f"what {' and '.join(registries)} fetch" if registries and not lock else "")
        say(f"{self.name}: installing its packages")
        with Progress(self.name, self.log):
            found = self.fetch(found)
            apt.install(self, found)
            for key in registries:
                source = importlib.import_module(f"sources.{key}")
                own = self.fetch(lock.of(key) if lock else source.resolve(self, self.recipe.of(key)))
                self.close_tools()
                source.install(self, own)
                found += own
        return found

    def set_up(self):
        """What the recipe does after all is installed."""
        for name in self.recipe.of("setup_files"):
            copy_to(self.recipes.setup_file(name), f"{self.root}/usr/local/lib/evalx/{name}")
        for line in self.recipe.of("setup"):
            try:
                self.box.run("sh", "-ec", line)
            except BoxFailure as error:
                raise BoxFailure(["setup line:", line], error.output) from None

    def finish(self):
        """Makes what was added a layer.  Returns its name."""
        subprocess.run(["umount", self.root], check=True)
        name = f"{self.name}_{timestamp()}"
        upper, state = f"{self.path}/upper", self.folder.state(name)
        remove_tree(state)
        # Images based on this one need the package database and the users; runs do not.
        for path in (*DATABASES, *layer.USERS):
            if os.path.lexists(f"{upper}/{path}"):
                os.makedirs(os.path.dirname(f"{state}/{path}"), exist_ok=True)
                os.rename(f"{upper}/{path}", f"{state}/{path}")
        os.makedirs(state, exist_ok=True)
        layer.strip(upper)
        layer.remove_empty_folders(upper)
        os.rename(upper, self.folder.layer(name))
        return name

    def close(self):
        self.close_tools()
        if os.path.ismount(self.root):
            subprocess.run(["umount", "--recursive", self.root], check=True)
        remove_tree(self.path)
        if not os.listdir(os.path.dirname(self.path)):
            os.rmdir(os.path.dirname(self.path))


def has_package(root, name):
    return any(fields["Package"] == name for fields in packages_of(f"{root}/var/lib/dpkg/status"))


def packages_in(status):
    """Sorted lines "NAME VERSION SIZE"."""
    return sorted(f"{fields['Package']} {fields['Version']} {fields.get('Installed-Size', '')}K"
                  for fields in packages_of(status))


class Builder:
    """`locks` is None if images are built from today's packages."""

    def __init__(self, forced_suite, folder, found_recipes, mirrors, store, locks):
        self.forced_suite = forced_suite
        self.folder = folder
        self.recipes = found_recipes
        self.mirrors = mirrors
        self.store = store
        self.locks = locks

    def suite(self, name):
        return self.recipes.get(name).suite(self.forced_suite)

    def lock(self, name):
        return self.locks and self.locks.read_for(self.recipes.get(name), self.suite(name))

    def base(self, suite, is_locked=False):
        lock = self.locks.read(f"base-{suite}") if is_locked else None
        return Base(self.folder, self.mirrors, suite, self.store, lock)

    def base_of(self, name):
        """The base below an image: that of the image it is based on, or what its lock says."""
        on, suite = self.recipes.get(name).on(), self.suite(name)
        if on and self.folder.exists(on):
            key = self.folder.base_key(self.folder.layers(on)[0])
            if key is None:
                raise Failure(f"image {on} must be rebuilt first: evalx-images build --force {on}")
            return self.base(suite, key != suite)
        lock = self.lock(name)
        return self.base(suite, bool(lock and lock.base))

    def checksum(self, name):
        """Of the inputs of a build.  An image is up to date if its manifest has the same checksum."""
        recipe = self.recipes.get(name)
        on, suite, lock = recipe.on(), self.suite(name), self.lock(name)
        below = self.folder.top_layer(on) if on else self.folder.base_layer(self.base_of(name).key)
        lines = [suite, below or "", *recipe.of("packages"), *recipe.of("npm"), *self.recipes.setup_lines(recipe),
                 *recipe.of("setup")]
        # These came later: images without them keep their checksum.
        lines += [f"{key} {word}" for key in ("pypi", "maven", "gomod", "crates") for word in recipe.of(key)]
        lines += [f"lock {lock.checksum()}"] if lock else []
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:32]

    def is_current(self, name):
        return (self.folder.exists(name) and
                self.folder.manifest_value(name, "recipe") == self.checksum(name))

    def _lower(self, base, on):
        """The folders that the image stands on, the topmost first."""
        lower = [base.root]
        for below in (self.folder.layers(on)[1:] if on else []):
            if not os.path.isdir(self.folder.state(below)):
                raise Failure(f"image {on} must be rebuilt first: evalx-images build --force {on}")
            lower = [self.folder.state(below), self.folder.layer(below), *lower]
        return lower

    def _need_below(self, name):
        """Builds what the image is based on."""
        recipes.check_name(name)
        recipe = self.recipes.get(name)
        if not recipe.is_defined():
            raise Failure(f"no language file in {self.recipes.folder} defines image {name}")
        on, suite = recipe.on(), self.suite(name)
        if on:
            if self.suite(on) != suite:
                raise Failure(f"image {name} is based on {on}, which has another suite")
            self.build(on)
        else:
            self.base_of(name).need()
        return on, suite

    @contextlib.contextmanager
    def _work(self, name, on, base):
        work = Work(self, name, base, self._lower(base, on))
        try:
            yield work
        except BoxFailure as error:
            raise Failure(f"{error.output}\n{name} could not be built: {error} (full log: {work.log})") from None
        finally:
            work.close()

    def build(self, name, force=False):
        on, suite = self._need_below(name)
        if not force and self.is_current(name):
            say(f"{name}: up to date")
            return
        checksum, lock = self.checksum(name), self.lock(name)
        if self.store.is_complete and not lock:
            raise Failure(f"{name} has no lock in {self.locks.folder}: evalx-images fetch {name} --packages FOLDER")
        try:
            with self._work(name, on, self.base_of(name)) as work:
                if not (lock and lock.base) and not self.store.is_complete:
                    work.base.update_if_old(work.box)
                artefacts = work.install(lock)
                work.set_up()
                top = work.finish()
                base = work.base
        except (Mismatch, Vanished) as error:
            hint = f"update the lock with: evalx-images lock {name}, or build --unlocked" if lock else ""
            raise Failure(f"{name}: {error}\n{hint}") from None
        below = self.folder.layers(on) if on else [self.folder.base_layer(base.key)]
        layers = [*below, top]
        write_file(f"{self.folder.path}/{name}.cdx.json", self._bill(name, on, checksum, base, layers, artefacts))
        self.folder.put(name, self._manifest(name, suite, checksum, base, top, artefacts), layers)
        size = int(self.folder.manifest_value(name, "bytes"))
        say(f"{name}: built, {human(size)} in {self.folder.manifest_value(name, 'files')} files")

    def _locked_base(self, suite):
        """The base that base-SUITE.lock names.  The lock is made new if there is none, or if its packages vanished."""
        lock = self.locks.read(f"base-{suite}")
        if lock:
            try:
                base = self.base(suite, True)
                base.need()
                return base
            except Vanished as error:
                say(f"base of {suite}: {error}; its lock is made new")
        base = self.base(suite)
        base.need()
        base.update_if_old(base.box)
        self.locks.write(Lock(f"base-{suite}", suite, base.artefacts()))
        base = self.base(suite, True)
        base.need()
        return base

    def make_lock(self, name, has_distribution):
        """Writes the lock of an image, with today's packages.  Their files are in the store then.  Without
        `has_distribution` it leaves out the packages of the distribution."""
        recipe, suite = self.recipes.get(name), self.suite(name)
        on, base = recipe.on(), None
        if on:
            if self.locks.read(on) is None:
                self.make_lock(on, has_distribution)
            self.build(on)
        elif has_distribution:
            base = self._locked_base(suite)
        else:
            self.base(suite).need()
        with self._work(name, on, base or self.base_of(name)) as work:
            work.base.update_if_old(work.box)
            artefacts = work.install()
        if not has_distribution:
            artefacts = [each for each in artefacts if each.source != "apt"]
        base_lock = self.locks.read(f"base-{suite}") if has_distribution else None
        self.locks.write(Lock(name, suite, artefacts, words_checksum(recipe, suite),
                              base_lock.checksum() if base_lock else ""))
        say(f"{name}: locked, {len(artefacts)} artefacts")

    def _bill(self, name, on, checksum, base, layers, artefacts):
        databases = [f"{self.folder.state(each)}/var/lib/dpkg/status" for each in reversed(layers[1:])]
        status = next(filter(os.path.exists, databases), f"{base.root}/var/lib/dpkg/status")
        known = [*base.known_artefacts(), *artefacts]
        while on:
            for line in self.folder.manifest(on).get("artefact", []):
                source, part, version, size, sha256, *_ = line.split(" ")
                known.append(Artefact(source, part, version, "", int(size), sha256))
            on = self.recipes.get(on).on()
        return sbom.bill(name, base.suite, checksum, packages_of(status), known)

    def _manifest(self, name, suite, checksum, base, top, artefacts):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%FT%TZ")
        yield from (f"image {name}", f"suite {suite}", f"recipe {checksum}", f"built {now}", f"layer {top}")
        yield from layer.facts(self.folder.layer(top))
        before = packages_in(f"{base.root}/var/lib/dpkg/status")
        after = packages_in(f"{self.folder.state(top)}/var/lib/dpkg/status")
        yield from (f"package {line}" for line in sorted(set(after) - set(before)))
        for each in artefacts:
            if each.file.endswith((".info", ".mod")):
                continue
            yield f"artefact {each.source} {each.name} {each.version} {each.size} {each.sha256}"
