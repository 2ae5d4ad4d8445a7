"""harness: starts, kills and inspects the real evalx and a real redis-server for the black-box tests.

Every process started here has EVALX_TEST_ID in its environment, and its programs run as users of a separate range.  So
leftovers are recognized without touching other processes.  Standard library only.
"""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tools")]
import language_file  # noqa: E402
from shared_host import SLOWNESS, UID_SPAN, free_port, free_uids  # noqa: E402

BINARY = os.path.abspath(os.environ.get("EVALX_BINARY", os.path.join(ROOT, "build", "evalx")))
FINAL = ("Completed", "Failed")


def wait_until(what, condition, seconds=10.0, step=0.02):
    """Waits until condition() is true and returns its value.  Fails after `seconds`."""
    end = time.monotonic() + seconds * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds * SLOWNESS:.0f} s still not: {what}")
        time.sleep(step)


def connections_to(port):
    """The number of connections that the server at this port still holds, even if the client has closed its end."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    held = ("01", "08")  # ESTABLISHED, CLOSE_WAIT
    return sum(1 for row in rows if int(row[1].split(":")[1], 16) == port and row[3] in held)


class Answer:
    """Status, headers and body of one HTTP answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


class Client:
    """One persistent connection, not shared between threads."""

    def __init__(self, url, timeout=30.0):
        self.host, port = url.split("://")[1].split(":")
        self.port = int(port)
        self.timeout = timeout * SLOWNESS
        self.connection = None

    def request(self, method, path, body=None, headers=None):
        """body: bytes are sent unchanged, anything else as JSON."""
        if body is not None and not isinstance(body, (bytes, bytearray)):
            body = json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})} if body is not None else dict(headers or {})
        reused = self.connection is not None
        try:
            return self._once(method, path, body, sent)
        except (http.client.HTTPException, ConnectionError):
            # The server may have closed the connection between two requests.  Then a GET may be repeated.
            if not reused or method != "GET":
                raise
            return self._once(method, path, body, sent)

    def _once(self, method, path, body, headers):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            found = Answer(answer.status, answer.headers, answer.read())
            if answer.will_close:
                self.close()
            return found
        except BaseException:
            self.close()
            raise

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, body, headers=None):
        return self.request("POST", path, body, headers)

    def submit(self, batch, path="/execute/batch"):
        """Submits and returns the token."""
        answer = self.post(path, batch)
        assert answer.status == 200, f"{answer.status}: {answer.text[:500]}"
        return answer.json()["token"]

    def poll(self, token, seconds=60.0, every=0.05):
        """Polls as existing clients do, until Completed or Failed.  Returns the whole answer."""
        end = time.monotonic() + seconds * SLOWNESS
        while True:
            answer = self.get(f"/submissions/{token}")
            assert answer.status == 200, f"{answer.status}: {answer.text[:500]}"
            found = answer.json()
            if found["status"] in FINAL:
                return found
            assert time.monotonic() < end, f"{token} is still {found['status']} after {seconds * SLOWNESS:.0f} s"
            time.sleep(every)

    def run(self, batch, seconds=60.0, path="/execute/batch"):
        return self.poll(self.submit(batch, path), seconds)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Process:
    """A long-running program with its log in a file: the base of servers, workers and Redis."""

    def __init__(self, name, command, env, folder):
        self.name, self.command, self.env, self.folder = name, command, env, folder
        self.log_path = os.path.join(folder, f"{name}.log")
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        assert not self.running(), f"{self.name} is running already"
        with open(self.log_path, "ab") as log:
            # In a new session, so that signals of the terminal do not reach it.
            self.process = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def terminate(self):
        """SIGTERM, without waiting."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=30.0):
        """Waits for the end and returns the exit status."""
        try:
            return self.process.wait(seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            log = self.log()[-4000:]
            raise AssertionError(f"{self.name} still runs after {seconds * SLOWNESS:.0f} s:\n{log}") from None

    def stop(self, seconds=30.0):
        """SIGTERM, then waits.  Returns the exit status."""
        if not self.running():
            return self.process.returncode if self.process else None
        self.terminate()
        try:
            return self.wait(seconds)
        except AssertionError:
            self.kill9()
            raise

    def kill9(self):
        """SIGKILL to this process only.  Its children must notice by themselves."""
        if self.running():
            self.process.kill()
            self.process.wait()


class Evalx(Process):
    """evalx as server (embedded or API of a fleet) or as worker."""

    def __init__(self, name, arguments, folder, env=None, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.uid_base = free_uids()
        self.test_id = uuid.uuid4().hex
        self.data = os.path.join(folder, f"{name}-data")
        os.makedirs(self.data, exist_ok=True)
        base = {key: value for key, value in os.environ.items()
                if not key.startswith(("EVALX_", "REDIS_")) and key not in ("MAX_REQUESTS", "RESULT_TTL_SECONDS")}
        # Without images, so that only the languages of this host are used.
        base.update(EVALX_DATA=self.data, EVALX_LANGUAGES=os.path.join(ROOT, "languages"), EVALX_SLOTS="2",
                    EVALX_IMAGES=self.data + "-images",
                    EVALX_UID_BASE=str(self.uid_base), EVALX_TEST_ID=self.test_id)
        base["EVALX_WORKER_LISTEN" if "worker" in arguments else "EVALX_LISTEN"] = f"127.0.0.1:{self.port}"
        base.update(env or {})
        self.seen_pids = set()
        super().__init__(name, [BINARY, *arguments], base, folder)

    def remember(self):
        """Records the processes that are alive now, because cgroups are named after one of them."""
        self.seen_pids.update(pid for pid, _, _ in self.leftovers())

    def terminate(self):
        self.remember()
        super().terminate()

    def kill9(self):
        self.remember()
        super().kill9()

    def client(self, timeout=30.0):
        return Client(self.url, timeout)

    def answers(self, path):
        """True if GET path returns 200.  Fails at once if the process has ended."""
        assert self.running(), f"{self.name} ended with {self.process.returncode}:\n{self.log()[-4000:]}"
        client = Client(self.url, timeout=5)
        try:
            return client.get(path).status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            client.close()

    def wait_ready(self, path="/readyz", seconds=20.0):
        wait_until(f"{self.name} answers 200 at {path}\n{self.log()[-2000:]}", lambda: self.answers(path), seconds)
        self.remember()
        return self

    def restart(self, path="/readyz"):
        self.stop()
        self.start()
        return self.wait_ready(path)

    def leftovers(self):
        """Processes of this evalx, or of programs that it ran, that are still alive."""
        marker = f"EVALX_TEST_ID={self.test_id}".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
                    status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
                with open(f"/proc/{pid}/environ", "rb") as file:
                    marked = marker in file.read().split(b"\0")
            except OSError:
                continue
            if status["State"].strip().startswith("Z"):
                continue
            uid = int(status["Uid"].split()[0])
            if marked or self.uid_base <= uid < self.uid_base + UID_SPAN:
                found.append((int(pid), status["Name"].strip(), uid))
        return found

    def assert_nothing_left(self, seconds=10.0):
        """To be called when the process has ended."""
        wait_until(f"{self.name} left no process: {self.leftovers()}", lambda: not self.leftovers(), seconds, 0.05)


class Redis(Process):
    """A redis-server on a free loopback port, with every write in its append-only file."""

    def __init__(self, folder):
        self.address = "127.0.0.1"
        self.port = free_port()
        self.data = os.path.join(folder, "redis-data")
        os.makedirs(self.data, exist_ok=True)
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.data,
                   "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no"]
        super().__init__("redis", command, dict(os.environ), folder)

    def use(self, data, fsync):
        """To be called before the start: stores its files in this folder."""
        self.command[self.command.index("--dir") + 1] = self.data = data
        self.command[self.command.index("--appendfsync") + 1] = fsync

    def move(self, address):
        """From the next start on, it listens on this address."""
        self.command[self.command.index("--bind") + 1] = self.address = address

    def settings(self):
        return {"REDIS_HOST": self.address, "REDIS_PORT": str(self.port)}

    def call(self, *words):
        """Sends one command and returns its raw answer, which suffices for PING, DBSIZE and the like."""
        with socket.create_connection((self.address, self.port), timeout=10 * SLOWNESS) as link:
            parts = [str(word).encode() for word in words]
            link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            return link.recv(65536)

    def answers(self):
        assert self.running(), f"redis-server ended:\n{self.log()[-2000:]}"
        try:
            return self.call("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def start(self):
        super().start()
        wait_until("redis-server answers PING", self.answers)
        return self


class Fleet:
    """Redis, one API server, and workers that can be killed one by one."""

    def __init__(self, folder, workers=2, env=None):
        self.folder = folder
        self.redis = Redis(folder)
        self.extra = {"EVALX_LEASE_MS": "3000", **(env or {})}
        self.api = None
        self.workers = []
        self.ended = []
        self.wanted = workers

    @property
    def url(self):
        return self.api.url

    def client(self, timeout=30.0):
        return self.api.client(timeout)

    def start(self):
        self.redis.start()
        self.api = Evalx("api", ["server"], self.folder, {**self.redis.settings(), **self.extra}).start()
        self.api.wait_ready("/healthz")
        for _ in range(self.wanted):
            self.add_worker()
        self.api.wait_ready()
        return self

    def add_worker(self, env=None):
        number = len(self.workers) + len(self.ended)
        settings = {**self.redis.settings(), **self.extra, **(env or {})}
        worker = Evalx(f"worker{number}", ["worker"], self.folder, settings)
        self.workers.append(worker)
        worker.start()
        return worker.wait_ready("/healthz")

    def kill_worker(self, index=0):
        """kill -9 of the main process of a worker.  Its launcher and programs must then end by themselves."""
        worker = self.workers.pop(index)
        self.ended.append(worker)
        worker.kill9()
        return worker

    def restart_redis(self, pause=0.0):
        self.redis.stop()
        time.sleep(pause)
        self.redis.start()

    def processes(self):
        return [p for p in [*self.workers, *self.ended, self.api] if p is not None]

    def stop(self):
        """Stops everything in the order an operator would.  Returns all problems."""
        return stop_all([*self.workers, self.api, self.redis], self.processes())


def stop_all(running, evalxes):
    problems = []
    for process in running:
        try:
            if process is not None:
                process.stop()
        except AssertionError as error:
            problems.append(str(error))
    for process in evalxes:
        try:
            process.assert_nothing_left()
        except AssertionError as error:
            problems.append(f"{error}\n{process.log()[-2000:]}")
            for pid, _, _ in process.leftovers():
                os.kill(pid, signal.SIGKILL)
    return problems


@contextlib.contextmanager
def shared_server(env=None, folder=None):
    """For fixtures: a server for all tests of a file.  Nothing of it may be left, and its folder is removed."""
    folder = folder or make_folder()
    process = Evalx("server", ["server"], folder, env)
    process.start()
    process.wait_ready()
    yield process
    left = stop_all([process], [process])
    remove_folder(folder)
    assert not left, "\n".join(left)


def fill_disk(folder):
    """Fills the folder's disk completely.  Returns the file that does."""
    name = os.path.join(folder, "filler")
    with open(name, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return name


def start_of(pid):
    """The start time, which identifies a process together with its id.  None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def cgroups_of(process_ids):
    """Cgroups that launchers with these process ids made and did not remove (named evalx-PIDNS-PID-START).

    A group whose launcher is alive belongs to another test: process ids are reused, but not with the same start time.
    Ids in another pid namespace mean other processes."""
    found = []
    names = {str(pid) for pid in process_ids}
    here = str(os.stat("/proc/self/ns/pid").st_ino)
    for folder, folders, _ in os.walk("/sys/fs/cgroup"):
        for name in folders:
            parts = name.split("-")
            is_one = len(parts) == 4 and parts[:2] == ["evalx", here] and parts[2] in names
            if is_one and start_of(parts[2]) != parts[3]:
                found.append(os.path.join(folder, name))
    return found


def language_on_host(name, **changes):
    """The text of a language file whose language runs on the host's own interpreter, in place of an image's."""
    return language_file.text({**language_file.read(name), "image": "host", **changes})


def make_folder():
    """A folder below the temporary folder of the system; other users cannot enter that of pytest."""
    folder = tempfile.mkdtemp(prefix="evalx-test-")
    os.chmod(folder, 0o755)
    return folder


def remove_folder(folder):
    """Removes the folder, after a check that nothing is mounted in it."""
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1] for line in file if line.split()[1].startswith(folder + "/")]
    assert not mounts, f"mounts left behind: {mounts}"
    shutil.rmtree(folder)
    assert not os.path.exists(folder)


def in_threads(count, work):
    """Calls work(i) for i in 0..count-1 in threads.  Returns the results in order, or raises the first failure."""
    results, failures = [None] * count, []

    def one(i):
        try:
            results[i] = work(i)
        except BaseException as error:  # noqa: B902 - handed to the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
