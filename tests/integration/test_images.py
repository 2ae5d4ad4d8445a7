"""evalx-images against the real mirror: one small image, from nothing to a program that runs in it."""
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

import harness

pytestmark = pytest.mark.slow  # once is enough: nothing of it depends on how evalx was built

TOOL = os.path.join(harness.ROOT, "deploy", "images", "evalx-images")
LANGUAGE = """id = tiny
name = Tiny Lua
version = 5.4
image = tiny
source = main.lua
run = /usr/bin/lua5.4 {source} {args}
needs = /usr/bin/lua5.4
[image]
suite = bookworm
packages = lua5.4
setup = echo first >/etc/tiny
  echo second >>/etc/tiny
[hello]
code = print("Hello, " .. io.read())
stdin = evalx
stdout = Hello, evalx
"""


def mirror():
    """This machine's own mirror of Debian, or None."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"],
                          capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        origin, _, uri = line.partition(" ")
        if origin == "Debian" and uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    return None


@pytest.fixture(scope="module")
def images():
    if shutil.which("mmdebstrap") is None:
        pytest.skip("there is no mmdebstrap here")
    at = mirror()
    if at is None:
        pytest.skip("this machine has no mirror of Debian")
    try:
        urllib.request.urlopen(at + "/dists/bookworm/InRelease", timeout=10).close()
    except (urllib.error.URLError, OSError) as error:
        pytest.skip(f"the mirror cannot be reached: {error}")
    folder = harness.make_folder()
    os.makedirs(folder + "/languages/tests")
    with open(folder + "/languages/tiny.conf", "w", encoding="utf-8") as file:
        file.write(LANGUAGE)
    os.makedirs(folder + "/images/.build/work/upper/usr")  # what a build that was ended half-way leaves
    done = tool(folder, "build", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny from bookworm: needs up to" in done.stdout
    yield folder
    shutil.rmtree(folder)


def tool(folder, *arguments):
    return subprocess.run(["bash", TOOL, arguments[0], "--images", folder + "/images", "--languages",
                           folder + "/languages", *arguments[1:]], capture_output=True, text=True, check=False)


def evalx(folder, *arguments):
    env = dict(os.environ, EVALX_IMAGES=folder + "/images", EVALX_LANGUAGES=folder + "/languages")
    return subprocess.run([harness.BINARY, *arguments], capture_output=True, text=True, env=env, check=False)


def layer(folder):
    with open(folder + "/images/tiny.layers", encoding="utf-8") as file:
        return os.path.join(folder, "images", ".layers", file.read().split()[-1])


def test_a_program_runs_in_it(images):
    done = evalx(images, "languages", "verify", "--json", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = json.loads(done.stdout)
    assert entry["works"] and entry["cases"] == {"hello": True}


def test_what_proves_a_language_can_fail(images):
    with open(images + "/languages/tests/tiny.conf", "w", encoding="utf-8") as file:
        file.write('[right]\ncode = os.exit(7)\nverdict = runtime_error\nexit = 7\n'
                   '[wrong]\ncode = print("x")\nstdout = y\n'
                   '[quiet]\ncode = os.exit(1)\nverdict = runtime_error\nstderr = words\n')
    done = evalx(images, "languages", "verify", "--json", "tiny")
    os.remove(images + "/languages/tests/tiny.conf")
    assert done.returncode == 1
    (entry,) = json.loads(done.stdout)
    assert not entry["works"] and entry["cases"]["hello"] is True and entry["cases"]["right"] is True
    assert "expected accepted, got wrong_answer" in entry["cases"]["wrong"]
    assert 'stderr has no "words"' in entry["cases"]["quiet"]


def test_nothing_is_left_of_what_no_program_needs(images):
    top = layer(images)
    with open(top + "/etc/tiny", encoding="utf-8") as file:
        assert file.read() == "first\nsecond\n"  # the lines of setup, in their order
    for path in ("usr/share/doc", "usr/share/man", "var/lib/dpkg", "etc/passwd", "etc/resolv.conf"):
        assert not os.path.exists(os.path.join(top, path)), path
    base = os.path.join(images, "images", ".layers")
    for folder, _, names in os.walk(base):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                assert os.lstat(path).st_mode & 0o6000 == 0, path
            assert name not in ("apt-get", "dpkg"), path


def test_a_second_build_finds_nothing_to_do(images):
    before = layer(images)
    done = tool(images, "build", "--all")
    assert done.returncode == 0 and "tiny: up to date" in done.stdout, done.stdout + done.stderr
    assert layer(images) == before
    listed = tool(images, "list").stdout
    assert "tiny" in listed and "to be built again" not in listed


def test_the_manifest_names_packages_and_notices_a_change(images):
    with open(images + "/images/tiny.manifest", encoding="utf-8") as file:
        assert "package lua5.4 " in file.read()
    assert tool(images, "verify").returncode == 0
    with open(layer(images) + "/etc/tiny", "a", encoding="utf-8") as file:
        file.write("third\n")
    done = tool(images, "verify", "tiny")
    assert done.returncode == 1 and "checksum" in done.stdout
    done = tool(images, "build", "--force", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert tool(images, "verify").returncode == 0


def test_what_cannot_be_built_changes_nothing(images):
    before = layer(images)
    conf = images + "/languages/tiny.conf"
    with open(conf, "w", encoding="utf-8") as file:
        file.write(LANGUAGE.replace("packages = lua5.4", "packages = no-such-package-anywhere"))
    done = tool(images, "build", "tiny")
    with open(conf, "w", encoding="utf-8") as file:
        file.write(LANGUAGE)
    assert done.returncode == 1 and "no-such-package-anywhere" in done.stderr
    assert layer(images) == before and tool(images, "verify").returncode == 0


def test_remove_takes_the_layer_with_it(images):
    top = layer(images)
    assert tool(images, "remove", "nothing").returncode == 1
    assert tool(images, "remove", "tiny").returncode == 0
    assert not os.path.exists(top) and not os.path.exists(images + "/images/tiny.layers")
    table = evalx(images, "languages").stdout
    assert "image tiny is not here: evalx-images build tiny" in table
