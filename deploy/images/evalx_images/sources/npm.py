"""npm: packages of npm's registry.  Their scripts do not run.

Each package that is asked for has its own node_modules with what it needs, as `npm install --global` makes it.
"""
import base64
import hashlib
import json
import os

from artefact import Artefact
from box import BoxFailure
from common import Failure, write_file
from store import Mismatch
from unpack import Target, tar_files

NPM = Artefact("npm", "npm", "10.9.4", "npm/-/npm-10.9.4.tgz", 0,
               "4bfba8a0c823024d1926ec9d97a37a00eb60fd2adf44b3d34a686fc32e8f51e4")
MODULES = "usr/local/lib/node_modules"
RESOLVE = """
cd /srv/project
exec node /opt/npm/bin/npm-cli.js install --package-lock-only --install-strategy=shallow --ignore-scripts --no-audit \\
    --no-fund --no-update-notifier "$@"
"""


def split_word(word):
    """lodash@4.17.21, @types/node@20, deno"""
    at = word.find("@", 1)
    return (word, "*") if at < 0 else (word[:at], word[at + 1:])


def allows(values, name):
    """os, cpu and libc of a package list what it runs on, or with a "!" what it does not."""
    if not values:
        return True
    values = [values] if isinstance(values, str) else values
    return f"!{name}" not in values and (name in values or all(value.startswith("!") for value in values))


def check_integrity(entry, path):
    """Checks a file by the checksum of the registry, which is not the one of locks."""
    kind, _, wanted = entry.partition(" ")[0].partition("-")
    with open(path, "rb") as file:
        received = base64.b64encode(hashlib.file_digest(file, kind).digest()).decode()
    if received != wanted:
        raise Mismatch(f"{os.path.basename(path)} has another checksum than the registry says\n"
                       f"  expected {kind} {wanted}\n  received {kind} {received}")


def resolve(work, words):
    box = work.tool_box(*([] if os.path.exists(f"{work.root}/usr/bin/node") else ["nodejs"]))
    (npm,) = work.fetch([NPM])
    tools = Target(box.root)
    for path, file, is_executable in tar_files(work.store.path(npm)):
        tools.write(f"opt/npm/{path}", file, is_executable)
    project = f"{work.scratch}/project"
    os.makedirs(project)
    write_file(f"{project}/package.json", json.dumps({"dependencies": dict(map(split_word, words))}))
    own = work.mirrors.registry("npm")
    try:
        box.run("sh", "-ec", RESOLVE, "-", *(["--registry", own] if "npm" in work.mirrors.registries else []),
                network=True, shared=work.scratch)
    except BoxFailure as error:
        raise Failure(f"{error.output}\n{work.name}: npm cannot resolve {' '.join(words)}") from None
    with open(f"{project}/package-lock.json", encoding="utf-8") as file:
        packages = json.load(file)["packages"]
    artefacts = {}
    for place, entry in packages.items():
        if place == "" or not (allows(entry.get("os"), "linux") and allows(entry.get("cpu"), "x64") and
                               allows(entry.get("libc"), "glibc")):
            continue
        name = entry.get("name") or place.rpartition("node_modules/")[2]
        # The address may be left out of the lock by the user's settings.
        address = entry.get("resolved") or f"{own}/{name}/-/{name.rpartition('/')[2]}-{entry['version']}.tgz"
        artefact = Artefact("npm", name, entry["version"], address.removeprefix(f"{own}/"), place=place)
        artefacts[artefact] = entry.get("integrity")
    found = work.fetch(list(artefacts))
    for artefact, integrity in artefacts.items():
        if integrity:
            check_integrity(integrity, work.store.path(artefact))
    return found


def install(work, artefacts):
    target = Target(work.root)
    for artefact in artefacts:
        place = f"{MODULES}/{artefact.place.removeprefix('node_modules/')}"
        description = {}
        files = set()
        for path, file, is_executable in tar_files(work.store.path(artefact)):
            target.write(f"{place}/{path}", file, is_executable)
            files.add(path)
        with open(f"{work.root}/{place}/package.json", encoding="utf-8") as file:
            description = json.load(file)
        commands = description.get("bin") or {}
        if isinstance(commands, str):
            commands = {artefact.name.rpartition("/")[2]: commands}
        for name, path in commands.items():
            path = os.path.normpath(path)
            if path in files:
                os.chmod(target.path(f"{place}/{path}"), 0o755)
                if artefact.place.count("node_modules/") == 1:
                    target.link(f"usr/local/bin/{name}", f"../lib/node_modules/{artefact.place[13:]}/{path}")
