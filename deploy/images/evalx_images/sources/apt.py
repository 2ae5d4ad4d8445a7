"""apt: packages of the distribution."""
import re
import urllib.parse

from artefact import Artefact
from base import APT
from box import BoxFailure
from common import remove_tree, write_file

LINE = re.compile(r"'([^']+)' (\S+) (\d+) SHA256:([0-9a-f]{64})")
SIZE = re.compile(r"(?:After this operation, |Space needed: )([\d.,]+) ([kMG]?B)")
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
CONTROL = 'for each; do dpkg-deb -f "/srv/apt/$each"; echo; done'
# The archive of the image's own packages is the only source, so no other package can get in.
INSTALL = """
index=$1
shift
mkdir -p /tmp/lists/partial /tmp/cache/archives/partial
own() {
    apt-get -q -y -o Dir::Etc::SourceList=/srv/apt/$index/sources.list -o Dir::Etc::SourceParts=/dev/null \\
        -o Dir::State::Lists=/tmp/lists -o Dir::Cache=/tmp/cache -o APT::Sandbox::User=root \\
        -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}
own update
own install "$@"
"""


def artefact_of(address, filename, size, sha256):
    """From a line of apt's --print-uris.  The file's name in the archive lacks a part of the version, the epoch."""
    name, version, _ = urllib.parse.unquote(filename).removesuffix(".deb").split("_")
    path = urllib.parse.unquote(address)
    return Artefact("apt", name, version, path[path.index("/pool/") + 1:], int(size), sha256)


def resolve(work, words):
    """Asks apt, with the package lists of the base; with new ones if those have gone stale."""
    command = (*APT, "-qq", "-o", "Acquire::ForceHash=SHA256", "--print-uris", "install", *words)
    try:
        listed = work.box.output(*command)
    except BoxFailure:
        work.base.update_lists(work.box)
        listed = work.box.output(*command)
    return [artefact_of(*match) for match in LINE.findall(listed)]


def installed_bytes(box, words):
    """What the packages will add, as apt says it."""
    try:
        text = box.output(*APT, "-o", "APT::Get::Assume-Yes=false", "--assume-no", "install", *words)
    except BoxFailure as error:  # the answer no is a failure
        text = error.output
    found = SIZE.search(text)
    return int(float(found[1].replace(",", "")) * UNITS[found[2]]) if found else 0


def install(work, artefacts):
    """Without network, from an archive of just these packages."""
    if not artefacts:
        return
    name = f"index-{work.name}"
    controls = work.box.output("sh", "-ec", CONTROL, "-", *(artefact.file for artefact in artefacts),
                               shared=work.store.folder).split("\n\n")
    folder = work.store.write_index(name, work.suite, artefacts, controls)
    write_file(f"{folder}/sources.list", f"deb [trusted=yes] file:/srv/apt {name}/\n")
    words = [f"{artefact.name}={artefact.version}" for artefact in artefacts]
    work.box.run("sh", "-ec", INSTALL, "-", name, *words, shared=work.store.folder)
    remove_tree(folder)
