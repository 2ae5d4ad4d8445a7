"""crates: the sources of Rust crates, as `cargo vendor` lays them out.  Cargo resolves them and runs none of them."""
import hashlib
import json
import os
import tomllib

from artefact import Artefact
from box import BoxFailure
from common import Failure, write_file
from unpack import Target, tar_files

VENDOR = "usr/local/lib/cargo/vendor"
CONFIG = """[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "/usr/local/lib/cargo/vendor"
"""
RESOLVE = """
cd /srv/crate
export CARGO_HOME=/srv/cargo CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS=fallback
cargo generate-lockfile
cargo metadata --locked --format-version 1 --filter-platform "$1-unknown-linux-gnu" >metadata.json
"""


def split_word(word):
    """serde@1.0.219/derive,rc as name, version, features."""
    word, _, features = word.partition("/")
    name, _, version = word.partition("@")
    return name, f"={version}" if version else "*", features.split(",") if features else []


def manifest(words):
    lines = ['[package]\nname = "image"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]']
    for number, word in enumerate(words):  # two versions of one crate need two names
        name, version, features = split_word(word)
        lines.append(f'd{number} = {{ package = "{name}", version = "{version}", features = {json.dumps(features)} }}')
    return "\n".join(lines) + "\n"


def resolve(work, words):
    box = work.tool_box(*([] if os.path.exists(f"{work.root}/usr/bin/cargo") else ["cargo"]))
    crate = f"{work.scratch}/crate"
    os.makedirs(f"{crate}/src")
    write_file(f"{crate}/Cargo.toml", manifest(words))
    write_file(f"{crate}/src/lib.rs", "")
    try:
        box.run("sh", "-ec", RESOLVE, "-", os.uname().machine, network=True, shared=work.scratch)
    except BoxFailure as error:
        raise Failure(f"{error.output}\n{work.name}: cargo cannot resolve {' '.join(words)}") from None
    with open(f"{crate}/metadata.json", encoding="utf-8") as file:
        metadata = json.load(file)
    used = {node["id"] for node in metadata["resolve"]["nodes"]}
    needed = {(each["name"], each["version"]) for each in metadata["packages"] if each["id"] in used}
    with open(f"{crate}/Cargo.lock", "rb") as file:
        locked = tomllib.load(file)["package"]
    # Cargo wants to read the description of every crate, also of those for other systems.
    return [Artefact("crates", each["name"], each["version"], f"{each['name']}/{each['name']}-{each['version']}.crate",
                     sha256=each["checksum"],
                     place="" if (each["name"], each["version"]) in needed else "manifest")
            for each in locked if "checksum" in each]


def install(work, artefacts):
    target = Target(work.root)
    for artefact in artefacts:
        folder = f"{VENDOR}/{artefact.name}-{artefact.version}"
        sums = {}
        for path, file, is_executable in tar_files(work.store.path(artefact)):
            if artefact.place == "manifest":
                content = file.read() if path == "Cargo.toml" else b""
                if path != "Cargo.toml" and not path.endswith(".rs"):
                    continue
            else:
                content = file.read()
            target.write(f"{folder}/{path}", content, is_executable)
            sums[path] = hashlib.sha256(content).hexdigest()
        target.write(f"{folder}/.cargo-checksum.json",
                     json.dumps({"files": sums, "package": artefact.sha256}).encode())
    target.write("usr/local/lib/cargo/config.toml", CONFIG.encode())
