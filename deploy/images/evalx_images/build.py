"""build: one image.

A layer is built beside the others, stripped, checked and renamed; NAME.layers is renamed last.  An interrupted build
leaves nothing that evalx reads.
"""
import ctypes
import datetime
import hashlib
import importlib
import os
import subprocess

import layer
import recipes
from base import Base
from box import Box, BoxFailure, Progress
from common import Failure, human, read_file, remove_tree, say
from folder import timestamp
from sources import apt
from store import copy_to

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

    def __init__(self, builder, name, lower):
        self.name = name
        self.recipes = builder.recipes
        self.recipe = builder.recipes.get(name)
        self.suite = builder.suite(name)
        self.folder = builder.folder
        self.store = builder.store
        self.mirrors = builder.mirrors
        self.base = builder.base(self.suite)
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

    def install(self):
        """Installs everything that the recipe asks for.  Returns the artefacts."""
        packages = self.recipe.of("packages")
        found = apt.resolve(self, packages) if packages else []
        size = sum(artefact.size for artefact in found)
        if packages:
            size += apt.installed_bytes(self.box, packages)
        registries = [key for key in recipes.REGISTRIES if self.recipe.of(key)]
        self.folder.need_disk(size, f"{self.name} from {self.suite}",
                              f"what {' and '.join(registries)} fetch" if registries else "")
        say(f"{self.name}: installing its packages")
        with Progress(self.name, self.log):
            found = self.fetch(found)
            apt.install(self, found)
            for key in registries:
                source = importlib.import_module(f"sources.{key}")
                own = self.fetch(source.resolve(self, self.recipe.of(key)))
                self.close_tools()
                source.install(self, own)
                found += own
            self.set_up()
        return found

    def set_up(self):
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


def stanzas(status):
    """The fields of each installed package in a file of dpkg."""
    for stanza in read_file(status).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            yield fields


def has_package(root, name):
    return any(fields["Package"] == name for fields in stanzas(f"{root}/var/lib/dpkg/status"))


def packages_in(status):
    """Sorted lines "NAME VERSION SIZE"."""
    return sorted(f"{fields['Package']} {fields['Version']} {fields.get('Installed-Size', '')}K"
                  for fields in stanzas(status))


class Builder:
    def __init__(self, settings, folder, found_recipes, mirrors, store):
        self.forced_suite = settings.suite
        self.folder = folder
        self.recipes = found_recipes
        self.mirrors = mirrors
        self.store = store
        self.bases = {}

    def suite(self, name):
        return self.recipes.get(name).suite(self.forced_suite)

    def base(self, suite):
        return self.bases.setdefault(suite, Base(self.folder, self.mirrors, suite))

    def checksum(self, name):
        """Of the inputs of a build.  An image is up to date if its manifest has the same checksum."""
        recipe = self.recipes.get(name)
        on, suite = recipe.on(), self.suite(name)
        below = self.folder.top_layer(on) if on else self.folder.base_layer(suite)
        lines = [suite, below or "", *recipe.of("packages"), *recipe.of("npm"), *self.recipes.setup_lines(recipe),
                 *recipe.of("setup")]
        # These keys came later: images without them keep their checksum.
        lines += [f"{key} {word}" for key in ("pypi", "maven", "gomod", "crates") for word in recipe.of(key)]
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:32]

    def is_current(self, name):
        return (self.folder.exists(name) and
                self.folder.manifest_value(name, "recipe") == self.checksum(name))

    def _lower(self, name, on):
        """The folders that the image stands on, the topmost first."""
        lower = [self.folder.base_root(self.suite(name))]
        for below in (self.folder.layers(on)[1:] if on else []):
            if not os.path.isdir(self.folder.state(below)):
                raise Failure(f"image {on} must be rebuilt first: evalx-images build --force {on}")
            lower = [self.folder.state(below), self.folder.layer(below), *lower]
        return lower

    def build(self, name, force=False):
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
            self.base(suite).need()
        if not force and self.is_current(name):
            say(f"{name}: up to date")
            return
        checksum = self.checksum(name)
        work = Work(self, name, self._lower(name, on))
        try:
            self.base(suite).update_if_old(work.box)
            artefacts = work.install()
            top = work.finish()
        except BoxFailure as error:
            raise Failure(f"{error.output}\n{name} could not be built: {error} (full log: {work.log})") from None
        finally:
            work.close()
        below = self.folder.layers(on) if on else [self.folder.base_layer(suite)]
        self.folder.put(name, self._manifest(name, suite, checksum, top, artefacts), [*below, top])
        size = int(self.folder.manifest_value(name, "bytes"))
        say(f"{name}: built, {human(size)} in {self.folder.manifest_value(name, 'files')} files")

    def _manifest(self, name, suite, checksum, top, artefacts):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%FT%TZ")
        yield from (f"image {name}", f"suite {suite}", f"recipe {checksum}", f"built {now}", f"layer {top}")
        yield from layer.facts(self.folder.layer(top))
        before = packages_in(f"{self.folder.base_root(suite)}/var/lib/dpkg/status")
        after = packages_in(f"{self.folder.state(top)}/var/lib/dpkg/status")
        yield from (f"package {line}" for line in sorted(set(after) - set(before)))
        for each in artefacts:
            yield f"artefact {each.source} {each.name} {each.version} {each.size} {each.sha256}"
