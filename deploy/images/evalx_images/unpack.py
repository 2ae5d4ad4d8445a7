"""unpack: writes the files of an archive into a root.  Links and devices of archives are not made."""
import os
import shutil
import tarfile
import zipfile

from common import Failure

EXECUTABLE = 0o111


class Target:
    """Paths are relative to `root`.  What the root's own links lead out of it is refused."""

    def __init__(self, root):
        self.root = os.path.realpath(root)
        self.known = set()

    def path(self, relative):
        parts = relative.split("/")
        if relative.startswith("/") or ".." in parts or "" in parts:
            raise Failure(f"an archive contains the path {relative!r}")
        folder = os.path.dirname(f"{self.root}/{relative}")
        if folder not in self.known:
            os.makedirs(folder, exist_ok=True)
            if not os.path.realpath(folder).startswith(f"{self.root}/"):
                raise Failure(f"{relative}: a link leads out of the image")
            self.known.add(folder)
        return f"{self.root}/{relative}"

    def write(self, relative, content, is_executable=False):
        """`content` is bytes or a file open for reading."""
        path = self.path(relative)
        if os.path.lexists(path):
            os.remove(path)
        with open(path, "xb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                shutil.copyfileobj(content, file)
        os.chmod(path, 0o755 if is_executable else 0o644)

    def link(self, relative, leads_to):
        path = self.path(relative)
        if os.path.lexists(path):
            os.remove(path)
        os.symlink(leads_to, path)


def tar_files(path):
    """Yields (path without its first folder, file, is executable) for each regular file."""
    with tarfile.open(path) as archive:
        for member in archive:
            inner = member.name.removeprefix("./").partition("/")[2]
            if member.isreg() and inner:
                yield inner, archive.extractfile(member), bool(member.mode & EXECUTABLE)


def zip_files(path):
    """Yields (path, file, is executable) for each regular file."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as file:
                    yield info.filename, file, bool(info.external_attr >> 16 & EXECUTABLE)
