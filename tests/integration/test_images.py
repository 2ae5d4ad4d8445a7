"""evalx-images against the real mirror: one small image, from nothing to a program that runs in it."""
import json
import os
import shutil

import pytest

import image_folder
from image_folder import LANGUAGE, evalx, layer, tool

pytestmark = pytest.mark.slow  # runs with one build only, because it does not depend on how evalx was built


@pytest.fixture(scope="module")
def images():
    image_folder.reached_mirror()
    folder = image_folder.make()
    os.makedirs(folder + "/images/.build/work/tiny/upper/usr")  # the leftover of an interrupted build
    done = tool(folder, "build", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny from bookworm: needs up to" in done.stdout
    yield folder
    shutil.rmtree(folder)


def test_a_program_runs_in_it(images):
    done = evalx(images, "languages", "verify", "--json", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    (entry,) = json.loads(done.stdout)
    assert entry["works"] and entry["cases"] == {"hello": True}


def test_verify_reports_failing_language_tests(images):
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
    assert 'stderr does not contain "words"' in entry["cases"]["quiet"]


def test_files_that_no_program_needs_are_removed(images):
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
    assert "tiny" in listed and "out of date" not in listed


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


def test_a_failed_build_changes_nothing(images):
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
    assert "image tiny is not installed: " in table and "evalx-images build tiny" in table
