"""evalx as a systemd service: its messages to the service manager, and passwords passed as credentials.

A socket of the test acts as the service manager.  A thread that must hang is stopped with ptrace.
"""
import contextlib
import ctypes
import os
import signal
import socket
import stat
import time

import pytest

import harness
from raw_http import Socket

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WAIT_ALL_CHILDREN = 0x40000000  # __WALL: threads of others too


class Manager:
    """Receives the messages of a service, as systemd does."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.heard = []  # one dictionary per message

    def listen(self, seconds):
        """All messages that arrive within this time."""
        end = time.monotonic() + seconds
        came = []
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                came.append(self.read())
            except TimeoutError:
                break
        return came

    def read(self):
        message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
        self.heard.append(message)
        return message

    def wait_for(self, name, seconds=20.0):
        end = time.monotonic() + seconds * harness.SLOWNESS
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                message = self.read()
            except TimeoutError:
                raise AssertionError(f"no {name} within {seconds} s; heard: {self.heard}") from None
            if name in message:
                return message


@pytest.fixture
def manager(folder):
    made = Manager(folder)
    yield made
    made.socket.close()


def thread_of(pid, name):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
            if file.read().strip() == name:
                return int(thread)
    raise AssertionError(f"no thread {name}")


@contextlib.contextmanager
def stopped(thread):
    """Stops this thread; the rest of its process continues."""

    def trace(request):
        if libc.ptrace(request, thread, None, None) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    trace(PTRACE_SEIZE)
    trace(PTRACE_INTERRUPT)
    os.waitpid(thread, WAIT_ALL_CHILDREN)
    try:
        yield
    finally:
        trace(PTRACE_DETACH)


def test_readiness_liveness_and_stopping_are_notified(start_evalx, manager):
    begin = time.monotonic()
    server = start_evalx({"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "4000000", "EVALX_DRAIN_SECONDS": "7"})
    ready = manager.wait_for("READY")
    assert ready["READY"] == "1" and f"listening on 127.0.0.1:{server.port}" in ready["STATUS"], ready
    assert manager.heard == [ready], "no message is sent before the port is open"
    manager.wait_for("WATCHDOG")
    manager.wait_for("WATCHDOG")
    assert time.monotonic() - begin < 20 * harness.SLOWNESS
    server.terminate()
    stopping = manager.wait_for("STOPPING")
    # Neither the watchdog nor TimeoutStopSec= may cut the drain.
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 7_000_000
    assert int(stopping["WATCHDOG_USEC"]) > 7_000_000
    assert server.wait() == 0


def test_the_api_and_the_worker_drain_until_one_deadline(start_evalx, manager):
    """An incomplete request keeps the API busy and a long run keeps the worker busy, both for the whole drain."""
    drain = round(8 * harness.SLOWNESS)
    server = start_evalx({"NOTIFY_SOCKET": manager.path, "EVALX_DRAIN_SECONDS": str(drain),
                          "EVALX_REQUEST_DEADLINE_SECONDS": "3600"})
    client = server.client()
    token = client.submit([{"language": "bash", "version": "*", "code": "sleep 80", "timeout": 60}])
    harness.wait_until("it runs", lambda: client.get(f"/submissions/{token}").json()["status"] == "Processing")
    client.close()
    with Socket(server.port) as slow:
        assert slow.send(b"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.5)
        begin = time.monotonic()
        server.terminate()
        told = int(manager.wait_for("STOPPING")["EXTEND_TIMEOUT_USEC"]) / 1e6
        assert server.wait(4 * drain) == 0
        took = time.monotonic() - begin
    assert 0.9 * drain < took, "neither had its drain"
    assert took < 1.7 * drain, "the worker's drain began after that of the API"
    assert took < told


def test_an_abstract_socket_and_no_watchdog(start_evalx, folder):
    name = "evalx-test-" + os.path.basename(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        server = start_evalx({"NOTIFY_SOCKET": "@" + name})
        listener.settimeout(10)
        assert b"READY=1" in listener.recv(4096)
        listener.settimeout(2.5)
        with pytest.raises(TimeoutError):
            listener.recv(4096)
        server.terminate()
        listener.settimeout(10)
        assert b"WATCHDOG" not in listener.recv(4096)


def test_a_watchdog_for_another_process_is_ignored(start_evalx, manager):
    start_evalx({"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"})
    manager.wait_for("READY")
    assert manager.listen(2.5) == []


@pytest.mark.parametrize("name", ["nowhere", "/nonexistent/notify", "/" + "x" * 200])
def test_a_missing_service_manager_is_tolerated(start_evalx, name):
    server = start_evalx({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"})
    assert server.client().get("/healthz").status == 200
    assert server.stop() == 0


def test_no_watchdog_message_while_the_http_thread_hangs(start_evalx, manager):
    server = start_evalx({"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000000"})
    manager.wait_for("WATCHDOG")
    with stopped(thread_of(server.pid, "http")):
        manager.listen(1.5)  # one may have been sent already
        assert manager.listen(7) == []
        assert "the HTTP server did not answer" in server.log()
    manager.wait_for("WATCHDOG")
    assert server.client().get("/healthz").status == 200


@pytest.fixture
def start_worker(redis_server, folder, leave_nothing, manager):
    """start_worker(watchdog_us): starts a worker with a service manager, and returns it when ready."""

    def start(watchdog_us):
        settings = {**redis_server.settings(), "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": str(watchdog_us)}
        worker = leave_nothing(harness.Evalx("worker", ["worker"], folder, settings)).start()
        return worker.wait_ready("/healthz")

    return start


@pytest.mark.slow
@pytest.mark.parametrize("thread", ["heartbeat", "fetcher"])
def test_no_watchdog_message_while_the_worker_hangs(start_worker, manager, thread):
    worker = start_worker(2000000)
    manager.wait_for("WATCHDOG")
    with stopped(thread_of(worker.pid, thread)):
        harness.wait_until("it is noticed", lambda: "has made no progress" in worker.log(), 45)
        manager.listen(1)
        assert manager.listen(3) == []
    manager.wait_for("WATCHDOG")


def test_watchdog_messages_continue_while_redis_is_away(start_worker, redis_server, manager):
    """Redis is stopped by SIGSTOP: it accepts connections and never answers, which takes clients the longest."""
    worker = start_worker(16000000)
    manager.wait_for("READY")
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            begin = time.monotonic()
            manager.wait_for("WATCHDOG")
            assert time.monotonic() - begin < 16 * harness.SLOWNESS
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    assert worker.running()


@pytest.fixture
def closed_redis(folder, leave_nothing):
    """A Redis that requires a password, and that password."""
    password = "correct-horse!&#$^<>-"
    redis = harness.Redis(folder)
    redis.command += ["--requirepass", password]
    answers = redis.answers
    redis.answers = lambda: answers() or (redis.running() and asks_for_password(redis))
    leave_nothing(redis).start()
    return redis, password


def asks_for_password(redis):
    try:
        return b"NOAUTH" in redis.call("PING")
    except OSError:
        return False


def everywhere(pid):
    """What others could see of a process: its environment and command line."""
    seen = b""
    for name in ("environ", "cmdline"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            seen += file.read()
    return seen


@pytest.mark.parametrize("way", ["credential", "file"])
def test_the_password_comes_in_a_file(closed_redis, folder, leave_nothing, evalx_binary, way):
    redis, password = closed_redis
    secrets = os.path.join(folder, "credentials")
    os.mkdir(secrets, 0o700)
    path = os.path.join(secrets, "redis-password")
    with open(path, "w", encoding="ascii") as file:
        file.write(password + "\n")
    os.chmod(path, stat.S_IRUSR)  # owned by root, like a credential of a unit that starts as root
    given = {"CREDENTIALS_DIRECTORY": secrets} if way == "credential" else {"EVALX_REDIS_PASSWORD_FILE": path}
    settings = {**redis.settings(), **given}
    api = leave_nothing(harness.Evalx("api", ["server"], folder, settings))
    worker = leave_nothing(harness.Evalx("worker", ["worker"], folder, settings))
    api.start()
    worker.start()
    worker.wait_ready("/healthz")
    api.wait_ready()
    answer = api.client().run([{"language": "bash", "version": "*", "code": "echo $((6 * 7))"}])
    assert answer["results"][0]["stdout"] == "42\n", answer
    for process in (api, worker):
        assert password.encode() not in everywhere(process.pid)
        assert password not in process.log()


def test_a_wrong_password_is_reported_without_revealing_it(closed_redis, folder, leave_nothing):
    redis, password = closed_redis
    path = os.path.join(folder, "wrong")
    with open(path, "w", encoding="ascii") as file:
        file.write("not-" + password)
    api = harness.Evalx("api", ["server"], folder, {**redis.settings(), "EVALX_REDIS_PASSWORD_FILE": path})
    api.start()
    assert api.wait() == 1
    assert "user or password is wrong" in api.log() or "password" in api.log()
    assert password not in api.log()
