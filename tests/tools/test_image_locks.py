"""Locks, checksums and bills of materials of evalx-images, without a network."""
import hashlib
import json
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "images", "evalx_images"))

import locks  # noqa: E402
import sbom  # noqa: E402
import store  # noqa: E402
from artefact import Artefact  # noqa: E402
from common import Failure  # noqa: E402
from mirrors import Mirrors  # noqa: E402
from recipes import Recipe, Recipes  # noqa: E402

CONTENT = b"a wheel"
SUM = hashlib.sha256(CONTENT).hexdigest()
WHEEL = Artefact("pypi", "six", "1.16.0", "packages/d9/5a/six-1.16.0-py2.py3-none-any.whl", len(CONTENT), SUM)
SOURCES = "deb http://m.example/debian trixie main\ndeb http://m.example/debian-security trixie-security main\n"


def recipe(**words):
    made = Recipe("course")
    made.words = {"suite": ["trixie"], **words}
    return made


def test_a_lock_is_read_as_it_was_written(tmp_path):
    kept = locks.Locks(str(tmp_path))
    wanted = recipe(pypi=["six"])
    kept.write(locks.Lock("course", "trixie", [WHEEL], locks.words_checksum(wanted, "trixie")))
    lock = kept.read_for(wanted, "trixie")
    assert lock.of("pypi") == [WHEEL] and lock.of("npm") == []
    assert kept.read("other") is None


def test_a_lock_belongs_to_one_recipe_suite_and_base(tmp_path):
    kept = locks.Locks(str(tmp_path))
    wanted = recipe(pypi=["six"])
    kept.write(locks.Lock("course", "trixie", [WHEEL], locks.words_checksum(wanted, "trixie"), "0" * 64))
    with pytest.raises(Failure, match="base-trixie.lock changed.*evalx-images lock course"):
        kept.read_for(wanted, "trixie")
    with pytest.raises(Failure, match="language files changed.*evalx-images lock course"):
        kept.read_for(recipe(pypi=["six", "lxml"]), "trixie")
    with pytest.raises(Failure, match="for trixie, not noble"):
        kept.read_for(wanted, "noble")


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd"])
def test_a_lock_with_a_path_out_of_the_store_is_refused(tmp_path, file):
    kept = locks.Locks(str(tmp_path))
    kept.write(locks.Lock("course", "trixie", [Artefact("pypi", "six", "1", file, 1, SUM)]))
    with pytest.raises(Failure, match="expected the image course"):
        kept.read("course")


def test_a_changed_file_stops_with_both_checksums(tmp_path):
    kept = store.Store(str(tmp_path), Mirrors([]), is_complete=True)
    os.makedirs(os.path.dirname(kept.path(WHEEL)))
    with open(kept.path(WHEEL), "wb") as file:
        file.write(CONTENT)
    assert kept.fetch(None, [WHEEL], None, "course") == [WHEEL]
    with open(kept.path(WHEEL), "ab") as file:
        file.write(b"!")
    received = hashlib.sha256(CONTENT + b"!").hexdigest()
    with pytest.raises(store.Mismatch, match=f"expected sha256 {SUM}\n.*received sha256 {received}"):
        kept.fetch(None, [WHEEL], None, "course")


def test_a_file_that_is_missing_offline_is_named(tmp_path):
    kept = store.Store(str(tmp_path), Mirrors([]), is_complete=True)
    with pytest.raises(store.Vanished, match="six 1.16.0 is not in .*six-1.16.0-py2.py3-none-any.whl"):
        kept.fetch(None, [WHEEL], None, "course")


def test_addresses_of_mirrors():
    fix = Artefact("apt", "openssl", "3", "pool/updates/main/o/openssl/openssl_3+1_amd64.deb")
    main = Artefact("apt", "lua", "5", "pool/main/l/lua/lua_5~1_amd64.deb")
    mirrors = Mirrors(["http://m.example/debian", "npm=http://npm.example/"])
    assert mirrors.address(fix, SOURCES) == f"http://m.example/debian-security/{fix.file}"
    assert mirrors.address(main, SOURCES) == f"http://m.example/debian/{main.file}"
    assert mirrors.address(Artefact("npm", "a", "1", "a/-/a-1.tgz"), SOURCES) == "http://npm.example/a/-/a-1.tgz"
    own = "https://own.example/a.tgz"
    assert mirrors.address(Artefact("npm", "a", "1", own), SOURCES) == own
    assert mirrors.address(WHEEL, SOURCES).startswith("https://files.pythonhosted.org/packages/")
    assert mirrors.given("Debian") == "http://m.example/debian" and mirrors.given("Ubuntu") is None


def test_a_bill_of_materials_has_the_form_of_cyclonedx():
    artefacts = [WHEEL, Artefact("apt", "lua5.4", "5.4.7-1+b2", "", sha256="1" * 64),
                 Artefact("gomod", "github.com/a/b", "v1.0.0", "github.com/a/b/@v/v1.0.0.mod", sha256="2" * 64),
                 Artefact("gomod", "github.com/a/b", "v1.0.0", "github.com/a/b/@v/v1.0.0.zip", sha256="3" * 64),
                 Artefact("npm", "@types/node", "20.1.0", "", sha256="4" * 64, place="node_modules/@types/node"),
                 Artefact("maven", "com.google.code.gson:gson", "2.11.0", "", sha256="5" * 64)]
    packages = [{"Package": "lua5.4", "Version": "5.4.7-1+b2"}, {"Package": "libc6", "Version": "2.41"}]
    bill = json.loads(sbom.bill("course", "trixie", "abc", packages, artefacts))
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", bill["serialNumber"])
    assert bill["metadata"]["component"]["type"] == "container"
    parts = {part["purl"]: part for part in bill["components"]}
    assert set(parts) == {"pkg:pypi/six@1.16.0", "pkg:deb/debian/lua5.4@5.4.7-1%2Bb2", "pkg:deb/debian/libc6@2.41",
                          "pkg:golang/github.com/a/b@v1.0.0", "pkg:npm/%40types/node@20.1.0",
                          "pkg:maven/com.google.code.gson/gson@2.11.0"}
    for part in bill["components"]:
        assert {"type", "name", "version", "bom-ref"} <= set(part) and part["type"] == "library"
        for each in part.get("hashes", []):
            assert each["alg"] == "SHA-256" and re.fullmatch("[0-9a-f]{64}", each["content"])
    assert parts["pkg:golang/github.com/a/b@v1.0.0"]["hashes"][0]["content"] == "3" * 64


def test_a_set_stands_for_its_images(tmp_path):
    (tmp_path / "sets").write_text("# sets\ndefault = a b\njudge = b c\n", encoding="utf-8")
    found = Recipes.__new__(Recipes)  # without evalx, which reads the language files
    found.folder, found.images = str(tmp_path), {"a": None, "d": None}
    assert found.expanded(["default", "judge", "e"]) == ["a", "b", "c", "e"]
    assert found.expanded(["all"]) == ["a", "d"]
