"""gomod: Go tool chains and modules.  Go itself, which the image must have, resolves modules."""
import os

from artefact import Artefact
from box import BoxFailure
from common import Failure
from unpack import Target, zip_files

TOOLCHAIN = "golang.org/toolchain"
TOOLCHAIN_FOLDER = "usr/local/go"
CACHE = "usr/local/lib/go/mod"
RESOLVE = """
cd /srv/module
export GOMODCACHE=/srv/cache GOFLAGS=-mod=mod GOTOOLCHAIN=local
"$0" mod init image
"$0" get "$@"
"$0" mod download all
"""
INSTALL = """
mkdir /tmp/module
cd /tmp/module
export GOMODCACHE=/usr/local/lib/go/mod GOPROXY=off GONOSUMDB='*' GONOSUMCHECK=1 GOFLAGS=-mod=mod GOTOOLCHAIN=local
export GOSUMDB=off
"$0" mod init image
for each; do "$0" mod download "$each"; done
"""


def go_of(root):
    """The go command of a root."""
    for path in ("/usr/local/go/bin/go", "/usr/local/bin/go", "/usr/bin/go"):
        if os.path.exists(f"{root}{path}"):
            return path
    raise Failure("gomod: the image has no Go: it needs golang.org/toolchain@VERSION or a package")


def unescaped(path):
    """A module path as people write it: the proxy writes !a for A."""
    parts = path.split("!")
    return parts[0] + "".join(part[:1].upper() + part[1:] for part in parts[1:])


def toolchains(words):
    for word in words:
        path, _, version = word.partition("@")
        if path == TOOLCHAIN:
            yield Artefact("gomod", path, version, f"{path}/@v/{version}.zip")


def resolve(work, words):
    found = work.fetch(list(toolchains(words)))
    modules = [word if "@" in word else f"{word}@latest" for word in words if word.partition("@")[0] != TOOLCHAIN]
    if not modules:
        return found
    install_toolchains(work, found)
    go = go_of(work.root)
    os.makedirs(f"{work.scratch}/module")
    mirror = work.mirrors.registries.get("gomod")
    try:
        work.box.run("sh", "-ec", RESOLVE, go, *modules, network=True, shared=work.scratch,
                     env={"GOPROXY": mirror} if mirror else {})
    except BoxFailure as error:
        raise Failure(f"{error.output}\n{work.name}: go cannot resolve {' '.join(modules)}") from None
    top = f"{work.scratch}/cache/cache/download"
    for folder, _, names in os.walk(top):
        path = os.path.relpath(folder, top)
        if not path.endswith("/@v"):
            continue
        for name in sorted(names):
            version, suffix = os.path.splitext(name)
            if suffix in (".info", ".mod", ".zip"):
                artefact = Artefact("gomod", unescaped(path[:-3]), unescaped(version), f"{path}/{name}")
                found.append(work.store.put(artefact, f"{folder}/{name}"))
    return found


def install_toolchains(work, artefacts):
    target = Target(work.root)
    for artefact in artefacts:
        prefix = f"{artefact.name}@{artefact.version}/"
        for path, file, _ in zip_files(work.store.path(artefact)):
            path = path.removeprefix(prefix)
            # A module's archive keeps no modes.
            target.write(f"{TOOLCHAIN_FOLDER}/{path}", file, path.startswith(("bin/", "pkg/tool/")))


def install(work, artefacts):
    install_toolchains(work, [artefact for artefact in artefacts if artefact.name == TOOLCHAIN])
    modules = [artefact for artefact in artefacts if artefact.name != TOOLCHAIN]
    if not modules:
        return
    target = Target(work.root)
    versions = {}
    for artefact in modules:
        with open(work.store.path(artefact), "rb") as file:
            target.write(f"{CACHE}/cache/download/{artefact.file}", file)
        folder = os.path.dirname(artefact.file)
        versions.setdefault(folder, set()).add(artefact.version)
    for folder, names in versions.items():
        # With this list the folder serves as a proxy.
        target.write(f"{CACHE}/cache/download/{folder}/list", "".join(f"{name}\n" for name in sorted(names)).encode())
    whole = sorted({f"{each.name}@{each.version}" for each in modules if each.file.endswith(".zip")})
    work.box.run("sh", "-ec", INSTALL, go_of(work.root), *whole)
