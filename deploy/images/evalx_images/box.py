"""box: the build box, where packages are fetched, installed and set up.

A box is a root of its own: a minimal root of the image's suite with what the image adds.  Commands see no file of this
machine, and of its environment only proxies and the settings that name registries.  Without `network` they have no
network at all.  `shared` is a folder of this machine that they see as /srv.
"""
import os
import shutil
import subprocess
import sys
import threading

from common import Failure, say

INSIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside.py")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# Settings of the registries' clients that say where packages come from.
CLIENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "NPM_CONFIG_REGISTRY", "npm_config_registry",
           "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
INSIDE_CERTIFICATES = "/srv/ca-certificates.crt"
PROGRESS_SECONDS = 15
LOG_LINES = 25


class BoxFailure(Failure):
    """A command of a box failed; `output` is what it printed."""

    def __init__(self, command, output):
        super().__init__(f"{' '.join(command)[:100]} failed")
        self.output = output


def environment(network, extra):
    values = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp",
              "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    if network:
        values.update((name, os.environ[name]) for name in PROXIES + CLIENTS if name in os.environ)
        values.update(SSL_CERT_FILE=INSIDE_CERTIFICATES, CARGO_HTTP_CAINFO=INSIDE_CERTIFICATES,
                      PIP_CERT=INSIDE_CERTIFICATES, NODE_EXTRA_CA_CERTS=INSIDE_CERTIFICATES)
    values.update(extra)
    return values


class Box:
    """The commands' output is appended to the file `log`."""

    def __init__(self, root, log):
        self.root = root
        self.log = log

    def _command(self, command, network, shared):
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        if network:
            if os.path.exists("/etc/resolv.conf"):
                shutil.copyfile("/etc/resolv.conf", f"{self.root}/etc/resolv.conf")
            if shared and os.path.exists(CERTIFICATES):
                shutil.copyfile(CERTIFICATES, f"{shared}/ca-certificates.crt")
        else:
            namespaces.append("--net")
        return ["unshare", *namespaces, "--", sys.executable, "-I", INSIDE, self.root, shared or "", *command]

    def run(self, *command, network=False, shared=None, env=()):
        """Runs the command; its output goes to the log."""
        with open(self.log, "ab") as log:
            done = subprocess.run(self._command(command, network, shared), stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log, env=environment(network, dict(env)), check=False)
        if done.returncode != 0:
            raise BoxFailure(command, tail(self.log))

    def output(self, *command, network=False, shared=None, env=()):
        """What the command prints on stdout."""
        done = subprocess.run(self._command(command, network, shared), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=environment(network, dict(env)), check=False)
        if done.returncode != 0:
            raise BoxFailure(command, done.stdout + done.stderr)
        return done.stdout


def tail(path, lines=LOG_LINES):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])
    except FileNotFoundError:
        return ""


class Progress:
    """While it is open, prints the last line of a log every 15 seconds."""

    def __init__(self, name, log):
        self.name = name
        self.log = log
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _watch(self):
        while not self.ended.wait(PROGRESS_SECONDS):
            last = "".join(character for character in tail(self.log, 1) if character.isprintable())
            say(f"{self.name}: ... {last[:90]}")
