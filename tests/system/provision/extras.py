"""extras: tests build_ami.sh --isolate and --cloudwatch in a minimal root, with local package servers.

  extras.py ROOT CODENAME OPTIONS...

ROOT has a clone in /srv/evalx and is entered by enter_root.sh, so this machine is not changed.  The packages and the
signed repository of isolate are small and made here.  build_ami.sh must accept packages with the right signature,
refuse all others, leave nothing behind after a refusal, and print what to do.
"""
import functools
import hashlib
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = "etc/apt/sources.list.d/isolate.sources"
KEYRING = "etc/apt/keyrings/isolate.gpg"


# What AWS signs its agent with.
AWS = "937616F3450B7D806CBD9725D58167303B789C72"


def run(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, stdin=subprocess.DEVNULL, **more)


class Signer:
    """A signing key in its own GnuPG folder."""

    def __init__(self, folder, name):
        self.home = folder / f"gpg-{name}"
        self.home.mkdir(mode=0o700)
        self.gpg("--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.invalid>", "rsa2048", "sign", "0")
        colons = self.gpg("--list-keys", "--with-colons").stdout.decode()
        self.fingerprint = next(line.split(":")[9] for line in colons.splitlines() if line.startswith("fpr"))

    def gpg(self, *words):
        return run("gpg", "--batch", "--quiet", "--homedir", self.home, *words, stdout=subprocess.PIPE)

    def export(self, path, armored=True):
        path.write_bytes(self.gpg(*(["--armor"] if armored else []), "--export").stdout)

    def sign(self, path):
        """PATH.sig, as AWS signs its packages."""
        self.gpg("--yes", "--output", f"{path}.sig", "--detach-sign", path)

    def end(self):
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False)


def make_deb(folder, name, version):
    """A package with one program that prints its version."""
    place = folder / f"deb-{name}"
    (place / "DEBIAN").mkdir(parents=True)
    (place / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: a test <test@example.invalid>\n"
        f"Description: stands for {name}\n")
    program = place / "usr" / "bin" / name
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho {name} {version}\n")
    program.chmod(0o755)
    path = folder / f"{name}_{version}_amd64.deb"
    run("dpkg-deb", "--root-owner-group", "--build", place, path, stdout=subprocess.DEVNULL)
    return path


def sums(path, name):
    data = path.read_bytes()
    return f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"


def make_repository(folder, deb, suite, signer):
    """As the one of isolate's authors is laid out: one suite a release, one component."""
    pool, dist = folder / "pool", folder / "dists" / suite
    binary = dist / "main" / "binary-amd64"
    binary.mkdir(parents=True, exist_ok=True)
    pool.mkdir(exist_ok=True)
    shutil.copy(deb, pool / deb.name)
    fields = run("dpkg-deb", "-f", deb, stdout=subprocess.PIPE).stdout.decode()
    digest, size, _ = sums(deb, "").split(" ", 3)[1:]
    (binary / "Packages").write_text(f"{fields}Filename: pool/{deb.name}\nSize: {size}\nSHA256: {digest}\n\n")
    (dist / "Release").write_text(
        f"Origin: test\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
        "Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n" + sums(binary / "Packages", "main/binary-amd64/Packages"))
    signer.gpg("--yes", "--output", dist / "InRelease", "--clearsign", dist / "Release")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Machine:
    """The root, and build_ami.sh in it."""

    def __init__(self, root, options):
        self.root = pathlib.Path(root)
        self.options = options
        self.passed = 0

    def enter(self, command):
        return subprocess.run(["unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--kill-child", "sh",
                               str(HERE.parent / "enter_root.sh"), str(self.root), "sh", "-c", command], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def build_ami(self, *more):
        return self.enter(" ".join(["deploy/build_ami.sh --images none --no-prepare", *self.options, *more]))

    def succeeds(self, name, words, *more):
        done = self.build_ami(*more)
        self.end(name, done, done.returncode == 0 and words in done.stdout, words)

    def refuses(self, name, words, *more):
        """It ends with these words, and the machine's sources of packages are as they were."""
        done = self.build_ami(*more)
        clean = not (self.root / SOURCES).exists() and not (self.root / KEYRING).exists()
        self.end(name, done, done.returncode != 0 and words in done.stdout and clean, f"an error, {words}, no source")

    def end(self, name, done, passed, expected):
        if not passed:
            print(f"{done.stdout[-4000:]}\nFAILED: {name}: ended with {done.returncode}, expected: {expected}")
            sys.exit(1)
        self.passed += 1
        print(f"         ok: {name}", flush=True)

    def has(self, package):
        status = self.root / "var/lib/dpkg/info"
        return (status / f"{package}.list").exists()

    def remove(self, package):
        assert self.enter(f"dpkg --purge {package}").returncode == 0
        for path in (SOURCES, KEYRING):
            (self.root / path).unlink(missing_ok=True)


def try_isolate(machine, folder, codename, ours, other):
    web = folder / "web"
    suite = f"{codename}-isolate"
    deb = make_deb(folder, "isolate", "2.6")
    make_repository(web / "isolate", deb, suite, ours)
    ours.export(web / "isolate" / "signing-key.asc")
    ours.export(web / "isolate" / "signing-key.gpg", armored=False)
    other.export(web / "isolate" / "other.asc")
    url = serve(web)
    at = f"--isolate --isolate-repository {url}/isolate/"
    key = f"--isolate-key {url}/isolate/signing-key.asc"

    machine.succeeds("isolate is off by default", "not requested (--isolate)")
    assert not machine.has("isolate")
    machine.refuses("no repository answers", "use --isolate-repository and --isolate-key to name a mirror", "--isolate",
                    "--isolate-repository http://127.0.0.1:1/", key)
    machine.refuses("no key answers", "http://127.0.0.1:1/key.asc could not be fetched", at,
                    "--isolate-key http://127.0.0.1:1/key.asc")
    machine.refuses("what is no key", "contains no key", at, f"--isolate-key {url}/isolate/dists/{suite}/Release")
    machine.refuses("the repository is signed by another key", "NO_PUBKEY", at,
                    f"--isolate-key {url}/isolate/other.asc")
    machine.refuses("the key has another fingerprint", f"is {ours.fingerprint}, expected {other.fingerprint}", at,
                    key, f"--isolate-fingerprint {other.fingerprint}")
    (web / "isolate" / "both.asc").write_bytes((web / "isolate" / "signing-key.gpg").read_bytes() +
                                               other.gpg("--export").stdout)
    machine.refuses("a second key beside the right one", "expected", at, f"--isolate-key {url}/isolate/both.asc",
                    f"--isolate-fingerprint {ours.fingerprint}")
    with open(web / "isolate" / "pool" / deb.name, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    machine.refuses("the package was changed", "Hash Sum mismatch", at, key)
    shutil.copy(deb, web / "isolate" / "pool" / deb.name)
    assert not machine.has("isolate")

    machine.succeeds("isolate is installed", f"key {ours.fingerprint}", at, key,
                     f"--isolate-fingerprint {ours.fingerprint.lower()}")
    assert machine.has("isolate")
    lines = (machine.root / SOURCES).read_text().splitlines()
    assert f"Signed-By: /{KEYRING}" in lines and f"Suites: {suite}" in lines and f"URIs: {url}/isolate/" in lines, lines
    assert '"name": "isolate", "version": "2.6"' in (machine.root / "etc/evalx/manifest.json").read_text()
    machine.succeeds("a second run leaves it", "already installed: 2.6", at, key)
    make_repository(web / "isolate", make_deb(folder / "newer", "isolate", "2.7"), suite, ours)
    done = machine.enter("apt-get update && apt-get -y install isolate && isolate")
    machine.end("it is updated as other packages are", done, "isolate 2.7" in done.stdout, "isolate 2.7")
    machine.remove("isolate")
    machine.succeeds("a key that is not armored", "isolate", at, f"--isolate-key {url}/isolate/signing-key.gpg")
    assert machine.has("isolate")


def try_cloudwatch(machine, folder, ours, other):
    web = folder / "agent"
    web.mkdir()
    made = make_deb(folder, "amazon-cloudwatch-agent", "1.300000.0")
    deb = web / "agent.deb"
    shutil.copy(made, deb)
    ours.sign(deb)
    ours.export(web / "agent.gpg")
    other.export(web / "other.gpg")
    shutil.copy(deb, web / "unsigned.deb")
    for name, signer in (("changed.deb", ours), ("foreign.deb", other)):
        shutil.copy(deb, web / name)
        signer.sign(web / name)
    with open(web / "changed.deb", "ab") as file:
        file.write(b"\n")
    url = serve(web)
    key, pin = f"--cloudwatch-key {url}/agent.gpg", f"--cloudwatch-fingerprint {ours.fingerprint}"
    refusals = [
        ("no agent answers", "http://127.0.0.1:1/agent.deb could not be fetched", "http://127.0.0.1:1/agent.deb", key),
        ("the agent is not there", "use --cloudwatch FILE", f"{url}/none.deb", key),
        ("its signature is not there", "unsigned.deb.sig could not be fetched", f"{url}/unsigned.deb", key),
        ("the agent was changed", "BAD signature", f"{url}/changed.deb", key),
        ("another signed it", "signature of the CloudWatch agent is not valid", f"{url}/foreign.deb", key),
        ("the key is another", f"expected {ours.fingerprint}", f"{url}/foreign.deb",
         f"--cloudwatch-key {url}/other.gpg")]
    for name, words, at, its_key in refusals:
        done = machine.build_ami("--cloudwatch", at, its_key, pin)
        machine.end(name, done, done.returncode != 0 and words in done.stdout and
                    not machine.has("amazon-cloudwatch-agent"), f"an error, {words}")
    done = machine.build_ami("--cloudwatch", f"{url}/agent.deb", key)
    machine.end("AWS's key is what is expected by default", done, done.returncode != 0 and
                f"expected {AWS}" in done.stdout, "an error")

    machine.succeeds("the agent is installed", f"key {ours.fingerprint}", "--cloudwatch", f"{url}/agent.deb", key, pin)
    assert machine.has("amazon-cloudwatch-agent")
    machine.succeeds("a second run leaves it", "already installed: 1.300000.0", "--cloudwatch", f"{url}/agent.deb", key,
                     pin)
    machine.remove("amazon-cloudwatch-agent")
    given = machine.root / "srv" / "agent"
    shutil.copytree(web, given)
    done = machine.build_ami("--cloudwatch /srv/agent/changed.deb --cloudwatch-key /srv/agent/agent.gpg", pin)
    machine.end("a file is held to its signature", done, done.returncode != 0 and "BAD signature" in done.stdout,
                "BAD signature")
    machine.succeeds("a file without one is taken, and told", "its signature is not verified",
                     "--cloudwatch /srv/agent/unsigned.deb")
    assert machine.has("amazon-cloudwatch-agent")


def main():
    root, codename, options = sys.argv[1], sys.argv[2], sys.argv[3:]
    with tempfile.TemporaryDirectory(prefix="evalx-extras-") as name:
        folder = pathlib.Path(name)
        (folder / "newer").mkdir()
        machine = Machine(root, options)
        signers = [Signer(folder, "ours"), Signer(folder, "other")]
        try:
            try_isolate(machine, folder, codename, *signers)
            try_cloudwatch(machine, folder, *signers)
        finally:
            for signer in signers:
                signer.end()
    print(f"         {machine.passed} passed, 0 failed")


main()
