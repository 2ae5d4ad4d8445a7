"""store: files of registries and mirrors, each at SOURCE/FILE.  A file is there only after it was checked."""
import dataclasses
import os
import re
import shutil
import subprocess
import tempfile

from box import BoxFailure
from common import Failure, file_sha256, remove_tree, say, write_file

BATCH = 40
APT_HELPER = "/usr/lib/apt/apt-helper"


class Mismatch(Failure):
    """A file is not the one that its lock or its registry names."""


class Vanished(Failure):
    """A mirror or registry does not have a file any more."""


def path_of(artefact):
    return f"{artefact.source}/{re.sub('^[a-z]+://', '', artefact.file)}"


def checked(artefact, path):
    """The artefact with the size and checksum of the file at `path`, which must be those that it has already."""
    size, sha256 = os.path.getsize(path), file_sha256(path)
    if artefact.sha256 and sha256 != artefact.sha256:
        raise Mismatch(f"{artefact}: {os.path.basename(path)} has another checksum than expected\n"
                       f"  expected sha256 {artefact.sha256}\n  received sha256 {sha256}")
    return dataclasses.replace(artefact, size=size, sha256=sha256)


class Store:
    """With `is_complete`, a folder that --packages names, nothing is fetched."""

    def __init__(self, folder, mirrors, is_complete=False):
        self.folder = os.path.abspath(folder)
        self.mirrors = mirrors
        self.is_complete = is_complete
        os.makedirs(self.folder, exist_ok=True)

    def path(self, artefact):
        return f"{self.folder}/{path_of(artefact)}"

    def has(self, artefact):
        return os.path.exists(self.path(artefact))

    def put(self, artefact, path):
        """Moves a file of the same file system into the store."""
        artefact = checked(artefact, path)
        os.makedirs(os.path.dirname(self.path(artefact)), exist_ok=True)
        os.replace(path, self.path(artefact))
        return artefact

    def fetch(self, box, artefacts, scratch, name):
        """Fetches what is missing, in the box, and checks all.  Returns the artefacts with size and checksum."""
        missing = [artefact for artefact in artefacts if not self.has(artefact)]
        if missing and self.is_complete:
            raise Vanished(f"{name}: {missing[0]} is not in {self.folder}: {path_of(missing[0])}")
        for begin in range(0, len(missing), BATCH):
            if len(missing) > BATCH:
                say(f"{name}: fetching {begin} of {len(missing)} files")
            self._fetch_batch(box, missing[begin:begin + BATCH], scratch)
        return [checked(artefact, self.path(artefact)) for artefact in artefacts]

    def fetch_here(self, artefacts, sources_list, name):
        """Fetches packages of a base, for which there is no box yet: by apt of this machine, into a folder."""
        missing = [artefact for artefact in artefacts if not self.has(artefact)]
        if missing and self.is_complete:
            raise Vanished(f"{name}: {missing[0]} is not in {self.folder}: {path_of(missing[0])}")
        with tempfile.TemporaryDirectory(dir=self.folder if missing else None) as scratch:
            for artefact in missing:
                address = self.mirrors.address(artefact, sources_list)
                done = subprocess.run([APT_HELPER, "-q", "-o", "APT::Sandbox::User=root", "download-file", address,
                                       f"{scratch}/deb"], capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    self._complain(artefact, address, done.stdout + done.stderr)
                self.put(artefact, f"{scratch}/deb")
        return [checked(artefact, self.path(artefact)) for artefact in artefacts]

    def write_index(self, name, suite, artefacts, controls):
        """Makes apt/NAME the index of an archive that has just these packages, under the name of a suite."""
        folder = f"{self.folder}/apt/{name}"
        remove_tree(folder)
        os.makedirs(folder)
        write_file(f"{folder}/Packages", "\n".join(
            f"{control.strip()}\nFilename: {each.file}\nSize: {each.size}\nSHA256: {each.sha256}\n"
            for control, each in zip(controls, artefacts)))
        index = f"{folder}/Packages"
        write_file(f"{folder}/Release", f"Suite: {suite}\nCodename: {suite}\nSHA256:\n"
                   f" {file_sha256(index)} {os.path.getsize(index)} Packages\n")
        return folder

    @staticmethod
    def _complain(artefact, address, error):
        if re.search(r"\b(404|410) ", error):
            raise Vanished(f"{artefact}: {address} does not exist (any more)")
        raise Failure(f"{artefact}: cannot fetch {address}\n{error}")

    def _fetch_batch(self, box, artefacts, scratch):
        with open(f"{box.root}/etc/apt/sources.list", encoding="utf-8") as file:
            sources_list = file.read()
        addresses = [self.mirrors.address(artefact, sources_list) for artefact in artefacts]
        error = download(box, addresses, scratch)
        for number, artefact in enumerate(artefacts):
            path = f"{scratch}/{number}"
            if not os.path.exists(path):
                self._complain(artefact, addresses[number], error)
            self.put(artefact, path)


def download(box, addresses, scratch):
    """Fetches addresses to scratch/0, scratch/1, ...  Returns the errors; a file that failed is missing."""
    words = []
    for number, address in enumerate(addresses):
        remove_tree(f"{scratch}/{number}")
        words += [address, f"/srv/{number}"]
    try:
        box.output(APT_HELPER, "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "-o",
                   "Acquire::https::CAInfo=/srv/ca-certificates.crt", "download-file", *words, network=True,
                   shared=scratch)
    except BoxFailure as error:
        return error.output
    return ""


def download_text(box, address, scratch):
    """The text at an address, or None if it cannot be fetched."""
    download(box, [address], scratch)
    try:
        with open(f"{scratch}/0", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def copy_to(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)
