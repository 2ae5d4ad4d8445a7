"""A folder of images and of language files, for tests of evalx-images against the real mirror."""
import os
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

import harness

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
    """The Debian mirror of this machine, or None."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"],
                          capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        origin, _, uri = line.partition(" ")
        if origin == "Debian" and uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    return None


def reached_mirror():
    """The same mirror.  Skips the test if images cannot be built from it."""
    if shutil.which("mmdebstrap") is None:
        pytest.skip("there is no mmdebstrap here")
    at = mirror()
    if at is None:
        pytest.skip("this machine has no mirror of Debian")
    try:
        urllib.request.urlopen(at + "/dists/bookworm/InRelease", timeout=10).close()
    except (urllib.error.URLError, OSError) as error:
        pytest.skip(f"the mirror cannot be reached: {error}")
    return at


def make():
    """An images folder with the language "tiny" and no built image."""
    folder = harness.make_folder()
    os.makedirs(folder + "/languages/tests")
    write_language(folder, "tiny", LANGUAGE)
    return folder


def write_language(folder, ident, text):
    with open(f"{folder}/languages/{ident}.conf", "w", encoding="utf-8") as file:
        file.write(text)


def command(folder, *arguments):
    return [TOOL, arguments[0], "--images", folder + "/images", "--languages", folder + "/languages",
            *arguments[1:]]


def tool(folder, *arguments):
    return subprocess.run(command(folder, *arguments), capture_output=True, text=True, check=False)


def evalx(folder, *arguments):
    env = dict(os.environ, EVALX_IMAGES=folder + "/images", EVALX_LANGUAGES=folder + "/languages")
    return subprocess.run([harness.BINARY, *arguments], capture_output=True, text=True, env=env, check=False)


def layers(folder, name="tiny"):
    """The folders of an image in the order that evalx reads, the bottom one first."""
    with open(f"{folder}/images/{name}.layers", encoding="utf-8") as file:
        return [os.path.join(folder, "images", ".layers", line) for line in file.read().split()]


def layer(folder, name="tiny"):
    return layers(folder, name)[-1]
