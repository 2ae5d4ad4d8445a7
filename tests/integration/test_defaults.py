"""The defaults: the address, the user, and which folders evalx accepts for its data."""
import hashlib
import os
import pathlib
import pwd
import shutil
import socket
import stat
import subprocess

import pytest

import harness

OWN_IDS = range(1_999_999_936, 2_000_000_000)  # daemon/privileges.h


def own_id():
    """The user that evalx runs as on this machine."""
    try:
        return pwd.getpwnam("evalx").pw_uid
    except KeyError:
        return next(uid for uid in reversed(OWN_IDS) if not has_account(uid))


def has_account(uid):
    try:
        return pwd.getpwuid(uid) is not None
    except KeyError:
        return False


@pytest.fixture
def check(evalx_binary, folder):
    """check(data, env={}): the point "data" of evalx check, and its exit status."""

    def call(data, env=None):
        done = subprocess.run([evalx_binary, "check"], capture_output=True, text=True, check=False,
                              timeout=60 * harness.SLOWNESS,
                              env={"PATH": os.environ["PATH"], "EVALX_DATA": str(data), "EVALX_UID_BASE": "1900000000",
                                   "EVALX_LANGUAGES": os.path.join(harness.ROOT, "languages"),
                                   "EVALX_IMAGES": os.path.join(folder, "no-images"), **(env or {})})
        (line,) = [line for line in done.stdout.splitlines() if line[6:11] == "data "]
        return line[27:], done.returncode

    return call


@pytest.fixture
def refuse(leave_nothing, folder, check):
    """refuse(data): evalx refuses to start with this data folder, and changes nothing.  Returns what it says.

    Only for paths below the folder of the test."""

    def look(path):
        return [(str(at), at.lstat().st_uid, at.lstat().st_mode) for at in (path, *sorted(path.rglob("*")))]

    def call(data, env=None, watch=None):
        assert str(data).startswith(folder + "/")
        watch = watch or pathlib.Path(data)
        before = look(watch) if watch.exists() else None
        server = leave_nothing(harness.Evalx("refused", ["server"], folder, {"EVALX_DATA": str(data), **(env or {})}))
        assert server.start().wait() == 1, server.log()
        assert (look(watch) if watch.exists() else None) == before
        words, status = check(data, env)
        assert status == 1, words
        assert words.strip()[:60] in server.log()
        return words

    return call


# ---- the data folder ----

def make(folder, name, mode=0o755, owner=0):
    path = pathlib.Path(folder) / name
    path.mkdir(mode)
    path.chmod(mode)
    os.chown(path, owner, owner)
    return path


def test_a_folder_with_other_files_is_refused(refuse, folder):
    theirs = make(folder, "theirs")
    (theirs / "keep").write_text("precious", encoding="ascii")
    assert "contains files that are not evalx's" in refuse(theirs)
    (theirs / "keep").unlink()
    (theirs / ".hidden").mkdir()
    assert "contains files that are not evalx's" in refuse(theirs)
    os.chown(theirs, own_id(), own_id())
    assert "contains files that are not evalx's" in refuse(theirs)


# With `check`, which changes nothing: a server that wrongly accepted such a folder would damage this machine.
@pytest.mark.parametrize("path", ["/", "/etc", "/usr/", "//var//lib/.", "/root", "/mnt", "/srv", "/tmp", "/dev/shm",
                                  "/usr/local/games"])
def test_a_folder_of_the_system_is_refused(check, path):
    if not os.path.isdir(path):
        pytest.skip(f"{path} does not exist here")
    words, status = check(path)
    assert status == 1 and "belongs to the system" in words


def test_a_folder_of_another_user_is_refused(refuse, folder):
    words = refuse(make(folder, "theirs", owner=1234))
    assert "owned by user 1234" in words and f"chown -R {own_id()}:" in words


def test_data_of_evalx_that_root_owns_names_the_chown(refuse, folder):
    restored = make(folder, "restored")
    (restored / "evalx.db").write_bytes(b"")
    assert f"chown -R {own_id()}:" in refuse(restored)


def test_links_are_refused(refuse, folder):
    real = make(folder, "real")
    link = pathlib.Path(folder) / "link"
    link.symlink_to(real)
    assert "symbolic link" in refuse(link, watch=real)
    assert '".."' in refuse(f"{real}/../real", watch=real)


def test_a_way_that_others_can_change_is_refused(refuse, folder):
    public = make(folder, "public", 0o777)
    assert "every user can write" in refuse(public / "data", watch=public)
    sticky = make(folder, "sticky", 0o1777)
    theirs = make(folder, "sticky/theirs", owner=1234)
    assert "every user can write" in refuse(theirs / "data", watch=sticky)
    link = pathlib.Path(folder) / "way"
    link.symlink_to(public)
    assert "every user can write" in refuse(link / "data", watch=public)


def test_a_new_or_empty_folder_is_taken(start_evalx, folder, check):
    new = pathlib.Path(folder) / "a" / "new"
    assert "does not exist yet" in check(new)[0] and not new.parent.exists()
    mask = os.umask(0o077)  # parents stay open to the user that evalx becomes
    try:
        server = start_evalx({"EVALX_DATA": str(new)})
    finally:
        os.umask(mask)
    assert (new.stat().st_uid, stat.S_IMODE(new.stat().st_mode)) == (own_id(), 0o700)
    assert {path.stat().st_uid for path in new.rglob("*")} == {own_id()}
    server.restart()
    server.stop()
    disk = make(folder, "disk")
    (disk / "lost+found").mkdir(0o700)
    start_evalx({"EVALX_DATA": str(disk)}, name="disk")
    assert disk.stat().st_uid == own_id() and (disk / "lost+found").stat().st_uid == 0


def test_check_notices_what_keeps_evalx_from_writing(check, folder):
    """A read-only file system, and a folder on the way that the user cannot enter."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    closed = make(folder, "closed", 0o700)
    words, status = check(closed / "data")
    assert status == 1 and "cannot enter" in words
    image = make(folder, "image")
    script = (f"mount -t tmpfs none {image} && mkdir {image}/data && mount -o remount,ro {image} && "
              f'EVALX_DATA={image}/"$0" {harness.BINARY} check')
    for name in ("data", "new"):
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, name], capture_output=True, text=True,
                              check=False, timeout=60 * harness.SLOWNESS,
                              env={"PATH": os.environ["PATH"], "EVALX_UID_BASE": "1900000000",
                                   "EVALX_LANGUAGES": os.path.join(harness.ROOT, "languages")})
        if "permission denied" in done.stderr:
            pytest.skip("this machine allows no mount")
        assert done.returncode == 1 and "Read-only file system" in done.stdout, done.stdout + done.stderr
        assert "evalx cannot run here" in done.stdout


# ---- the user ----

def test_it_runs_as_a_user_of_its_own(embedded):
    assert own_id() != pwd.getpwnam("nobody").pw_uid
    status = pathlib.Path(f"/proc/{embedded.pid}/status").read_text(encoding="ascii")
    ids = {name: set(rest.split()) for name, rest in (line.split(":", 1) for line in status.splitlines())}
    assert ids["Uid"] == {str(own_id())} and ids["Groups"] == set()


def test_another_user_can_be_named(start_evalx):
    server = start_evalx({"EVALX_USER": "nobody"})
    assert os.stat(server.data).st_uid == pwd.getpwnam("nobody").pw_uid


# ---- address and access ----

@pytest.fixture
def start_at(leave_nothing, folder, free_port):
    """start_at(address, env={}): a server on this address and a free port."""

    def start(address, env=None):
        env = {"EVALX_LISTEN": f"{address}:{free_port}", **(env or {})}
        return leave_nothing(harness.Evalx("open", ["server"], folder, env, port=free_port)).start().wait_ready()

    return start


def first_line(server):
    (line,) = [line for line in server.log().splitlines() if 'msg="listening' in line or 'msg="working' in line]
    return line


def keys_file(folder, owner=0):
    path = os.path.join(folder, "keys")
    with open(path, "w", encoding="ascii") as file:
        file.write("ann:" + hashlib.sha256(b"secret").hexdigest() + "\n")
    os.chmod(path, 0o600)
    os.chown(path, owner, owner)
    return path


def settings(evalx_binary, words=(), env=None):
    done = subprocess.run([evalx_binary, *words, "check", "--config"], capture_output=True, text=True, check=True,
                          env={"PATH": os.environ["PATH"], **(env or {})})
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


def test_the_default_address_depends_on_keys(evalx_binary):
    assert settings(evalx_binary)["listen"] == ["127.0.0.1:3000", "default"]
    assert settings(evalx_binary, env={"EVALX_API_KEYS_FILE": "/keys"})["listen"] == ["0.0.0.0:3000", "default"]
    assert settings(evalx_binary, ["--set", "api_keys_file=/keys"])["listen"] == ["0.0.0.0:3000", "default"]
    env = {"EVALX_API_KEYS_FILE": "/keys", "EVALX_LISTEN": "127.0.0.1:3000"}
    assert settings(evalx_binary, env=env)["listen"] == ["127.0.0.1:3000", "environment"]
    assert settings(evalx_binary)["cors_origin"] == ["default"]


def test_one_line_says_where_and_who_and_what(start_evalx, folder):
    server = start_evalx()
    line = first_line(server)
    assert f"address=127.0.0.1:{server.port} access=every-program-on-this-machine images=host " in line
    assert "host_folders=parts-of-/usr," in line and "network=none" in line
    assert "level=warn" not in server.log()


@pytest.mark.parametrize("address", ["0.0.0.0", "", "[::]"])
def test_an_open_address_warns_once(start_at, address):
    if address == "[::]" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    server = start_at(address)
    assert "access=everyone-who-reaches-the-address" in first_line(server)
    warnings = [line for line in server.log().splitlines() if "level=warn" in line]
    assert len(warnings) == 1 and "no API key is needed" in warnings[0] and "api_keys_file" in warnings[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a_loopback_address_does_not_warn(start_at, address):
    server = start_at(address)
    assert "access=every-program-on-this-machine" in first_line(server) and "level=warn" not in server.log()


@pytest.mark.parametrize("owner", ["root", "evalx"])
def test_keys_close_an_open_address(start_at, folder, owner):
    """The file may be root's: it is read before root is dropped."""
    server = start_at("0.0.0.0", {"EVALX_API_KEYS_FILE": keys_file(folder, 0 if owner == "root" else own_id())})
    assert "access=with-one-of-1-API-keys" in first_line(server) and "level=warn" not in server.log()
    client = server.client()
    assert client.post("/execute", b"{").status == 401
    assert client.post("/execute", b"{", {"Authorization": "Bearer secret"}).status == 400
    client.close()
