"""evalx-images against the real mirror, after the first build: other suites, other mirrors, updates, killed builds,
images based on others, and removal.  The old image is used until the new one is complete."""
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import harness
import image_folder
from image_folder import LANGUAGE, evalx, layer, layers, tool

pytestmark = pytest.mark.slow  # runs with one build only, because it does not depend on how evalx was built

UPON = r"""id = upon
name = Upon Tiny
version = 1
image = upon
source = main.lua
run = /usr/local/bin/upon {source}
needs = /usr/local/bin/upon /usr/bin/lua5.4
[image]
suite = bookworm
on = tiny
setup = printf '#!/bin/sh\nexec lua5.4 "$@"\n' >/usr/local/bin/upon
  chmod 0755 /usr/local/bin/upon
[hello]
code = print("Hello, " .. io.read())
stdin = evalx
stdout = Hello, evalx
"""


class Forwarder(http.server.BaseHTTPRequestHandler):
    """A proxy in front of this machine's mirror that records the requests."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.server.is_down:
            self.send_error(503)
            return
        request = urllib.request.Request(self.server.real + self.path)
        try:
            with urllib.request.urlopen(request, timeout=60) as got:
                body = got.read()
        except urllib.error.HTTPError as error:
            self.send_error(error.code)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def forwarder():
    at = urllib.parse.urlsplit(image_folder.reached_mirror())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forwarder)
    server.real, server.asked, server.is_down = f"{at.scheme}://{at.netloc}", [], False
    server.url = f"http://127.0.0.1:{server.server_port}{at.path}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def images(forwarder):
    folder = image_folder.make()
    image_folder.write_language(folder, "upon", UPON)
    done = tool(folder, "build", "--mirror", forwarder.url, "upon")
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    shutil.rmtree(folder)


def works(folder, *idents):
    done = evalx(folder, "languages", "verify", "--json", *idents)
    assert done.returncode == 0, done.stdout + done.stderr
    return [entry["id"] for entry in json.loads(done.stdout) if entry["works"]] == list(idents)


def manifest(folder, name="tiny"):
    with open(f"{folder}/images/{name}.manifest", encoding="utf-8") as file:
        return file.read()


def version(folder):
    (line,) = [line for line in manifest(folder).splitlines() if line.startswith("package lua5.4 ")]
    return line.split()[2]


def test_everything_comes_from_the_given_mirror(images, forwarder):
    assert any(path.endswith("/dists/bookworm/InRelease") for path in forwarder.asked)
    assert any("/lua5.4_" in path for path in forwarder.asked)
    assert any("security" in path for path in forwarder.asked)
    assert works(images, "tiny", "upon")


def test_an_image_based_on_another_adds_only_new_files(images):
    assert layers(images, "upon")[:-1] == layers(images, "tiny")
    assert not os.path.exists(layer(images, "upon") + "/usr/bin/lua5.4")
    done = tool(images, "remove", "tiny")
    assert done.returncode == 1 and "image upon is based on tiny" in done.stderr
    assert works(images, "tiny", "upon")


def test_another_suite_beside_it(images, forwarder):
    before, old = layers(images), version(images)
    done = tool(images, "build", "--suite", "trixie", "--mirror", forwarder.url, "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "suite trixie" in manifest(images) and version(images) != old
    assert "tiny from trixie: needs up to" in done.stdout
    assert "/trixie_" in layers(images)[0] and "/tiny_" in layer(images)
    # An image that is based on the old one keeps it, because it lists its layers by name.
    assert layers(images, "upon")[:-1] == before and works(images, "tiny", "upon")
    assert tool(images, "prune").returncode == 0 and works(images, "tiny", "upon")
    done = tool(images, "build", "tiny")  # back to the suite in its file
    assert done.returncode == 0 and "suite bookworm" in manifest(images) and version(images) == old
    assert tool(images, "verify").returncode == 0


def test_another_mirror_for_an_existing_base(images, forwarder):
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forwarder)
    other.real, other.asked, other.is_down = forwarder.real, [], False
    thread = threading.Thread(target=other.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{other.server_port}{urllib.parse.urlsplit(forwarder.url).path}"
        shutil.rmtree(images + "/images/.build/downloads", ignore_errors=True)
        done = tool(images, "build", "--force", "--mirror", url, "tiny")
        assert done.returncode == 0, done.stdout + done.stderr
        assert any("/lua5.4_" in path for path in other.asked)
    finally:
        other.shutdown()
        thread.join()
        other.server_close()
    assert works(images, "tiny")
    done = tool(images, "build", "--force", "--mirror", forwarder.url, "tiny")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_update_rebuilds_from_current_packages(images, forwarder):
    before, upon = layers(images), layers(images, "upon")
    forwarder.asked.clear()
    done = tool(images, "update", "--mirror", forwarder.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(path.endswith("/dists/bookworm/InRelease") for path in forwarder.asked)
    assert len(layers(images)) == len(before) and not set(layers(images)) & set(before)
    assert layers(images, "upon")[:-1] == layers(images) and layer(images, "upon") not in upon
    assert "out of date" not in tool(images, "list").stdout
    # A running server uses the old layers, which are kept until `prune` runs.
    assert all(map(os.path.isdir, upon)) and works(images, "tiny", "upon")
    assert tool(images, "prune").returncode == 0
    assert not any(map(os.path.exists, upon)) and works(images, "tiny", "upon")
    assert tool(images, "verify").returncode == 0


def test_an_update_without_a_mirror_changes_nothing(images, forwarder):
    before, upon = layers(images), layers(images, "upon")
    forwarder.is_down = True
    done = tool(images, "update", "--mirror", forwarder.url)
    forwarder.is_down = False
    assert done.returncode == 1 and "not built: " in done.stderr, done.stdout + done.stderr
    assert layers(images) == before and layers(images, "upon") == upon and works(images, "tiny", "upon")
    assert tool(images, "prune").returncode == 0 and works(images, "tiny", "upon")
    done = tool(images, "build", "tiny", "upon")
    assert done.returncode == 0 and "tiny: up to date" in done.stdout and "upon: up to date" in done.stdout
    assert layers(images) == before and tool(images, "verify").returncode == 0


@pytest.mark.parametrize("when", ["soon", "in setup"])
def test_a_build_that_is_killed_is_never_used(images, when):
    before, upper = layers(images), images + "/images/.build/work/tiny/upper"
    image_folder.write_language(images, "tiny", LANGUAGE.replace("echo second", "sleep 600; echo second"))
    process = subprocess.Popen(image_folder.command(images, "build", "--force", "tiny"), start_new_session=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_until("packages are unpacked", lambda: os.path.exists(upper + "/usr/bin"), 120)
        if when == "in setup":
            harness.wait_until("setup has begun", lambda: os.path.exists(upper + "/etc/tiny"), 120)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert layers(images) == before and works(images, "tiny") and tool(images, "verify", "tiny").returncode == 0
    image_folder.write_language(images, "tiny", LANGUAGE)
    assert "not built" not in tool(images, "list").stdout
    done = tool(images, "build", "--force", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    with open(layer(images) + "/etc/tiny", encoding="utf-8") as file:
        assert file.read() == "first\nsecond\n"
    assert works(images, "tiny") and tool(images, "verify", "tiny").returncode == 0
    assert not os.path.exists(images + "/images/.build/work")


def test_two_builds_at_once_take_turns(images):
    both = [subprocess.Popen(image_folder.command(images, "build", "--force", name), stdout=subprocess.PIPE, text=True)
            for name in ("tiny", "upon")]
    time.sleep(0.1)
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any("another evalx-images is running here; waiting" in text for text in said)
    done = tool(images, "build", "upon")
    assert done.returncode == 0, done.stdout + done.stderr
    assert works(images, "tiny", "upon") and tool(images, "verify").returncode == 0


def test_remove_and_prune_delete_all_images(images):
    done = tool(images, "remove", "tiny", "upon")
    assert done.returncode == 0, done.stdout + done.stderr
    kept = os.listdir(images + "/images/.layers")
    assert all(name.startswith(("bookworm_", "trixie_")) for name in kept), kept
    assert not [name for name in os.listdir(images + "/images") if not name.startswith(".")]
    assert evalx(images, "languages", "verify", "tiny").returncode != 0
