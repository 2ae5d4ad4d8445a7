"""Tests deploy/ as far as possible without installing it on a machine; "./dev test-vm golden" tests the rest."""
import functools
import http.server
import os
import pathlib
import re
import shutil
import stat
import subprocess
import threading

import pytest

import harness

DEPLOY = pathlib.Path(harness.ROOT) / "deploy"
LIBEXEC = DEPLOY / "libexec"
BUILD_AMI = DEPLOY / "build_ami.sh"
ROLE_UNITS = ("evalx-api.service", "evalx-worker.service", "evalx-single.service")


def call(*words, env=None, status=0):
    """Runs a command and returns the finished process.  Its environment is PATH and `env` only."""
    done = subprocess.run([str(word) for word in words], env={"PATH": os.environ["PATH"], **(env or {})},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def unit(name):
    """The lines of a unit as (section, key, value)."""
    section, found = None, []
    for line in (DEPLOY / "systemd" / name).read_text(encoding="ascii").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.append((section, key, value))
    return found


def values(name, key):
    return [value for _, k, value in unit(name) if k == key]


@pytest.fixture
def units(folder):
    """The units, with the paths of installed programs replaced by those of this clone."""
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text(encoding="ascii")
        text = text.replace("/usr/local/bin/evalx", harness.BINARY).replace("/usr/libexec/evalx", str(LIBEXEC))
        (pathlib.Path(folder) / path.name).write_text(text, encoding="ascii")
    return pathlib.Path(folder)


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(units):
    paths = sorted(str(path) for path in units.iterdir() if path.suffix in (".service", ".target"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True,
                          timeout=120, check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "evalx" in line]
    assert not complaints, "\n".join(complaints)


@needs_systemd
def test_the_api_is_confined(units):
    done = call("systemd-analyze", "security", "--offline=yes", "--no-pager", units / "evalx-api.service")
    level = re.search(r"exposure level for evalx-api\.service: ([\d.]+)", done.stdout)
    assert level is not None and float(level[1]) < 2, done.stdout


def test_the_units_set_what_evalx_relies_on():
    for name in ROLE_UNITS:
        assert values(name, "Type") == ["notify"]
        assert values(name, "KillMode") == ["mixed"]
        assert int(values(name, "WatchdogSec")[0]) >= 30
        # The default of drain_seconds, and the time that evalx needs after the drain.
        assert int(values(name, "TimeoutStopSec")[0]) > 60 + 30
        assert values(name, "EnvironmentFile") == ["-/etc/evalx/evalx.env"]
        assert "169.254.169.254/32" in values(name, "IPAddressDeny")[0]
        # A failure of evalx or of the limits of its programs does not take the machine along.
        assert re.fullmatch(r"[1-9]\d%", values(name, "MemoryMax")[0])
        assert values(name, "TasksMax")[0] != "infinity"
    for name in ("evalx-worker.service", "evalx-single.service"):
        assert values(name, "Delegate") == ["yes"] and values(name, "OOMPolicy") == ["continue"]
        assert values(name, "Requires") == ["evalx-egress-firewall.service"]
        assert not values(name, "SystemCallFilter"), "every program would inherit it"
    assert values("evalx-api.service", "AppArmorProfile") == ["-evalx-api"]
    assert "\nprofile evalx-api flags" in (DEPLOY / "etc" / "apparmor-api").read_text(encoding="ascii")
    assert values("evalx-api.service", "User") == ["evalx"]
    assert values("evalx-api.service", "CapabilityBoundingSet") == [""]


def test_every_deployment_names_its_address():
    """The default is for `evalx` on one machine: containers and fleets need another address."""
    listens = re.compile(r"^listen = 127\.0\.0\.1:3000$", re.M)
    assert listens.search((DEPLOY / "etc" / "evalx.conf").read_text(encoding="utf-8"))
    assert "\nENV EVALX_LISTEN=0.0.0.0:3000\n" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    compose = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert "EVALX_LISTEN: 0.0.0.0:3000" in compose and 'ports: ["127.0.0.1:3000:3000"]' in compose
    assert "EVALX_LISTEN=0.0.0.0:3000" in (DEPLOY / "aws" / "service.yaml").read_text(encoding="utf-8")
    units = "".join(path.read_text(encoding="ascii") for path in (DEPLOY / "systemd").iterdir())
    assert "EVALX_LISTEN" not in units, "in a unit it would override evalx.conf"


@pytest.mark.parametrize("role, expected", [
    ("api", "evalx-api.service"), ("worker", "evalx-worker.service"), ("single", "evalx-single.service"),
    ("all", "evalx-api.service evalx-worker.service")])
def test_a_role_starts_its_units(role, expected):
    assert call(LIBEXEC / "role", "units", env={"EVALX_ROLE": role}).stdout.strip() == expected
    for name in expected.split():
        assert (DEPLOY / "systemd" / name).is_file()


@pytest.mark.parametrize("role", ["", "API", "worker ", "evalx-api; reboot"])
def test_an_unknown_role_is_reported(role):
    done = call(LIBEXEC / "role", "start", env={"EVALX_ROLE": role}, status=78)
    assert "set it to api, worker, all or single" in done.stderr


def test_the_password_is_written_where_the_units_read_it(folder):
    target = pathlib.Path(folder) / "secrets"
    own = pathlib.Path(folder) / "own"
    env = {"RUNTIME_DIRECTORY": str(target), "EVALX_REDIS_PASSWORD_SOURCE": str(own)}
    call(LIBEXEC / "secret", env=env)
    assert (target / "redis-password").read_bytes() == b"", "systemd reports a missing credential as an error"
    own.write_bytes(b"s3cret\n")
    call(LIBEXEC / "secret", env=env)
    assert (target / "redis-password").read_bytes() == b"s3cret\n"
    assert stat.S_IMODE((target / "redis-password").stat().st_mode) == 0o600
    done = call(LIBEXEC / "secret", env={**env, "EVALX_REDIS_SECRET_ARN": "arn:x"}, status=1)
    assert "fetch-secret" in done.stderr
    assert (target / "redis-password").read_bytes() == b"s3cret\n", "the previous password is kept"


def test_a_secret_is_fetched_if_its_arn_is_set(folder):
    place = pathlib.Path(folder)
    shutil.copy(LIBEXEC / "secret", place / "secret")
    script = '#!/bin/sh\necho "of $EVALX_REDIS_SECRET_ARN" >"$RUNTIME_DIRECTORY/redis-password"\n'
    (place / "fetch-secret").write_text(script, encoding="ascii")
    (place / "fetch-secret").chmod(0o755)
    call(place / "secret", env={"RUNTIME_DIRECTORY": folder + "/run", "EVALX_REDIS_SECRET_ARN": "arn:x"})
    assert (place / "run/redis-password").read_text(encoding="ascii") == "of arn:x\n"


def test_the_egress_firewall_covers_every_user_of_the_sandbox(evalx_binary):
    """1024 slots with 1000 ids each, from uid_base on: sandboxd/slot.h, sandbox/protocol.h."""
    source = pathlib.Path(harness.ROOT) / "src"
    ids = int(re.search(r"#define SLOT_UIDS (\d+)u", (source / "sandboxd/slot.h").read_text())[1])
    slots = int(re.search(r"#define SLOTS_MAX (\d+)u", (source / "sandbox/protocol.h").read_text())[1])
    for base in (2000000000, 70000, 4294900000):
        rules = call(LIBEXEC / "egress-firewall", "print",
                     env={"EVALX_BINARY": evalx_binary, "EVALX_UID_BASE": str(base)}).stdout
        last = min(base + ids * slots - 1, 2**32 - 3)
        assert f"meta skuid {base}-{last} counter" in rules
        assert "ip daddr 169.254.169.254 meta skuid != 0 " in rules
    for setting in ("EVALX_EGRESS_FIREWALL", "EVALX_GUARD"):  # the latter is the name of version 0.1
        assert "off" in call(LIBEXEC / "egress-firewall", "start", env={setting: "off"}).stderr


def test_build_ami_lists_the_packages_it_needs():
    words = call(BUILD_AMI, "--any-system", "--images", "none", "--list-packages").stdout.split()
    assert {"nftables", "ca-certificates", "gcc", "meson"} <= set(words)
    given = call(BUILD_AMI, "--any-system", "--images", "none", "--binary", BUILD_AMI, "--list-packages").stdout.split()
    assert "gcc" not in given and any(word.startswith("libmicrohttpd12") for word in given)
    images = call(BUILD_AMI, "--any-system", "--images", "typescript-5.4", "--list-packages").stdout.split()
    assert {"python3", "mmdebstrap"} <= set(images)
    assert "usage:" in call(BUILD_AMI, "--help").stdout
    call(BUILD_AMI, "--nonsense", status=2)
    assert "does not exist" in call(BUILD_AMI, "--any-system", "--binary", "/nonexistent", status=1).stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_failed_download_is_reported(folder):
    """A failed download of isolate or the CloudWatch agent ends the run with a message that says what to do."""
    parts = "".join(f". {DEPLOY}/provision/{part}.sh; " for part in ("common", "packages", "extras"))
    given = f"state={folder} dry_run= offline= keys={folder}/key cloudwatch_key= cloudwatch_fingerprint=; "
    script = given + parts + "fetch http://127.0.0.1:1/key $keys 'leave it out'; echo went on"
    done = call("bash", "-euc", script, status=1)
    assert "http://127.0.0.1:1/key could not be fetched" in done.stderr and "leave it out" in done.stderr
    assert "curl: (7)" in done.stderr and "went on" not in done.stdout
    assert not (pathlib.Path(folder) / "key").exists()
    agent = "cloudwatch=http://127.0.0.1:1/agent.deb; "
    done = call("bash", "-euc", given + parts + agent + "install_cloudwatch", status=1)
    assert "--cloudwatch FILE" in done.stderr


@pytest.fixture
def signed_agents(folder):
    """Agents: signed, changed after signing, signed by another key, unsigned.  Returns the folder and fingerprints."""
    place, prints = pathlib.Path(folder), {}
    for name in ("ours", "other"):
        home = place / name
        home.mkdir(mode=0o700)
        gpg = ["gpg", "--batch", "--quiet", "--homedir", str(home)]
        call(*gpg, "--passphrase", "", "--quick-generate-key", f"{name} <a@b.invalid>", "rsa2048", "sign", "0")
        (place / f"{name}.gpg").write_text(call(*gpg, "--armor", "--export").stdout, encoding="ascii")
        colons = call(*gpg, "--list-keys", "--with-colons").stdout
        prints[name] = re.search(r"^fpr:+([0-9A-F]+):", colons, re.M)[1]
        for deb in ("good", "changed") if name == "ours" else ("foreign",):
            (place / f"{deb}.deb").write_bytes(b"an agent")
            call(*gpg, "--output", place / f"{deb}.deb.sig", "--detach-sign", place / f"{deb}.deb")
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    (place / "changed.deb").write_bytes(b"an agenT")
    (place / "unsigned.deb").write_bytes(b"an agent")
    return place, prints


@pytest.mark.skipif(shutil.which("gpg") is None or shutil.which("gpg-agent") is None or shutil.which("curl") is None,
                    reason="gpg, its agent or curl is not installed")
def test_only_an_agent_signed_by_its_authors_is_installed(signed_agents):
    place, prints = signed_agents
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(place))
    parts = "".join(f". {DEPLOY}/provision/{part}.sh; " for part in ("common", "packages", "extras"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"

        def install(agent, key="ours", fingerprint=prints["ours"]):
            given = (f"state={place} dry_run= offline= cloudwatch={agent} cloudwatch_key={url}/{key}.gpg "
                     f"cloudwatch_fingerprint={fingerprint}; ")
            stubs = "has_package() { false; }; without_starting() { shift; echo \"installs $*\"; }; "
            done = subprocess.run(["bash", "-euc", given + parts + stubs + "install_cloudwatch"], capture_output=True,
                                  text=True, timeout=120, check=False)
            return done.stdout + done.stderr

        assert "installs dpkg --install" in install(f"{url}/good.deb")
        assert "installs dpkg --install" in install(f"{place}/good.deb")
        unsigned = install(f"{place}/unsigned.deb")
        assert "its signature is not verified" in unsigned and "installs" in unsigned
        for agent, key, words in [
                (f"{url}/changed.deb", "ours", "BAD signature"), (f"{place}/changed.deb", "ours", "BAD signature"),
                (f"{url}/foreign.deb", "ours", "signature of the CloudWatch agent is not valid"),
                (f"{url}/foreign.deb", "other", f"is {prints['other']}, expected {prints['ours']}"),
                (f"{url}/unsigned.deb", "ours", "unsigned.deb.sig could not be fetched"),
                (f"{url}/good.deb", "none", "none.gpg could not be fetched"),
                (f"{url}/good.deb", "unsigned.deb", "could not be fetched")]:
            output = install(agent, key)
            assert words in output and "installs" not in output, output
            assert "--cloudwatch FILE" in output or "signature" in output
        server.shutdown()


def test_a_dry_run_of_build_ami_changes_nothing():
    watched = ["/var/lib/evalx-provision", "/etc/evalx", "/etc/systemd/system", "/usr/libexec/evalx", "/etc/sysctl.d"]

    def look():
        return {str(path): path.lstat().st_mtime_ns for place in watched for path in pathlib.Path(place).rglob("*")}

    before = look()
    done = call(BUILD_AMI, "--any-system", "--dry-run")
    assert "dry run: nothing was changed" in done.stdout
    assert "would install: /etc/systemd/system/evalx-worker.service" in done.stdout
    assert look() == before
