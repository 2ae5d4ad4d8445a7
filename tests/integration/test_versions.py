"""Which version of a language runs a request, and what the answer says of it.

The images hold one static program each, so that the versions of a language can be installed one by one.
"""
import json
import os
import shutil
import subprocess

import pytest

import harness
from test_host_failures import COPY

TOY = """[language]
id = toy
name = Toy
version = 2.4
image = toy-{version}
source = main.txt
run = /bin/copy {source}
[hello]
code = hello
stdin =
stdout = hello
[version 3.1]
versions = 3
[version 3.12]
versions = 3.6 3.10
[version 4.0-other]
id = toy-other
versions = other
[version 3.2]
id = toy-host
versions = 3.0
image = host
run = /bin/cat {source}
"""
# What is installed beside the host, what is asked for, and the id that runs; or a part of the error message.
CHOICES = [
    ("2.4 3.1 3.12 4.0-other", "latest", "toy-3.12"),
    ("2.4 3.1 3.12 4.0-other", None, "toy-3.12"),
    ("2.4 3.1 3.12 4.0-other", "3", "toy-3.12"),
    ("2.4 3.1 3.12 4.0-other", 3, "toy-3.12"),
    ("2.4 3.1 3.12 4.0-other", "2.4.9", "toy"),
    ("2.4 3.1 3.12 4.0-other", "3.1.4", "toy-3.1"),
    ("2.4 3.1 3.12 4.0-other", "v3.0", "toy-3.1"),
    ("2.4 3.1 3.12 4.0-other", " 3.10 ", "toy-3.12"),
    ("2.4 3.1 3.12 4.0-other", "Other", "toy-other"),
    ("2.4 3.1 3.12 4.0-other", "3.13", 'expected a version of toy: 2.4, 3.1 (also 3), 3.12 (also 3.6, 3.10)'),
    ("2.4 3.1 3.12 4.0-other", "3.11", 'or "latest"; got "3.11"'),
    ("2.4 3.1 3.12 4.0-other", "4", "expected a version of toy"),
    ("2.4 4.0-other", "latest", "toy"),
    ("2.4 4.0-other", "2.3", "expected a version of toy"),
    ("3.12", "3.2", "toy-host"),
    ("3.12", "3.0", "toy-host"),
    ("", "latest", "toy-host"),
    ("3.1", "latest", "toy-3.1"),
    ("", "3.12", "expected a version of toy: 3.2 (also 3.0)"),
]


def install(folder, versions):
    """Language files, and the images of these versions."""
    languages, images = os.path.join(folder, "languages"), os.path.join(folder, "images")
    os.makedirs(languages, exist_ok=True)
    shutil.copy(os.path.join(harness.ROOT, "languages", "defaults.conf"), languages)
    with open(os.path.join(languages, "toy.conf"), "w", encoding="utf-8") as file:
        file.write(TOY)
    shutil.rmtree(images, ignore_errors=True)
    os.makedirs(images)
    for version in versions.split():
        program = os.path.join(images, f"toy-{version}", "bin", "copy")
        os.makedirs(os.path.dirname(program))
        subprocess.run(["gcc", "-static", "-O1", "-x", "c", "-o", program, "-"], input=COPY, text=True, check=True)
    return {"EVALX_LANGUAGES": languages, "EVALX_IMAGES": images}


def ask(client, version, language="toy"):
    request = {"language": language, "code": "text"}
    if version is not None:
        request["version"] = version
    return client.post("/execute?wait=30", request)


@pytest.mark.parametrize("installed", sorted({installed for installed, _, _ in CHOICES}))
def test_the_rule_over_http(folder, start_evalx, installed):
    if "libasan" in subprocess.run(["ldd", harness.BINARY], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the self-test of a sanitized build needs libraries that these images lack")
    client = start_evalx(install(folder, installed)).client()
    listed = {one["id"]: one for one in client.get("/languages").json()}
    for _, version, expected in [row for row in CHOICES if row[0] == installed]:
        answer = ask(client, version)
        if expected not in listed:
            assert answer.status == 400, (version, answer.text)
            error = answer.json()["error"]
            assert error["field"] == "version" and expected in error["message"], (version, error)
            continue
        assert answer.status == 200, (version, answer.text)
        result = answer.json()["results"][0]
        assert (result["status"], result["stdout"]) == ("accepted", "text"), result
        assert (result["language"], result["version"]) == (expected, listed[expected]["version"]), (version, result)
        if version == "latest":
            assert [ident for ident, one in listed.items() if one["latest"]] == [expected]
    assert ask(client, None, "toy 9.9").status == 400
    assert ask(client, "1", "toys").json()["error"]["field"] == "language"
    assert listed["toy-3.12"]["of"] == "toy" and listed["toy"]["of"] is None


def test_a_file_that_claims_a_newer_version_stops_the_start(folder):
    env = dict(os.environ, **install(folder, ""))
    with open(env["EVALX_LANGUAGES"] + "/toy.conf", "a", encoding="utf-8") as file:
        file.write("[version 3.3]\nversions = 3.9\n")
    done = subprocess.run([harness.BINARY, "languages"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "toy.conf: [version 3.3]: versions: 3.9 is newer than 3.3" in done.stderr


LISTS_PACKAGES = """
import os, sys
print([path for path in sys.path if "packages" in path and os.path.isdir(path) and os.listdir(path)])
"""
FINDS_MODULES = """
const fs = require("fs"), known = ["acorn", "acorn-walk", "busboy", "cjs-module-lexer", "streamsearch", "undici"];
const folders = ["/usr/lib/node_modules", "/usr/lib/nodejs", "/usr/share/nodejs", "/usr/share/node_modules"];
const all = folders.filter(path => fs.existsSync(path)).flatMap(path => fs.readdirSync(path));
console.log(all.filter(name => !known.some(one => name.startsWith(one))));
"""


def test_programs_on_the_host_do_not_see_its_packages(folder, start_evalx):
    """The host's versions are asked for by what only they have: no image is installed."""
    client = start_evalx({"EVALX_IMAGES": folder + "/no-images"}).client()
    listed = {one["id"] for one in client.get("/languages").json() if one["available"]}
    asked = [("python", LISTS_PACKAGES), ("javascript", FINDS_MODULES)]
    for language, code in [one for one in asked if one[0] in listed]:
        answer = client.post("/execute?wait=30", {"language": language, "code": code}).json()
        assert answer["results"][0]["stdout"].strip() == "[]", json.dumps(answer)
