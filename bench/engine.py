"""engine: the real evalx, started as the tests start it, a cheap client, and the floor.

The client is a plain socket: its bytes are made before the clock starts, and the answer is parsed after it has stopped.
The floor is floor.c: the time from posix_spawn to wait4 and nothing else.
"""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FINAL = ("Completed", "Failed")

C_CODE = "#include <stdio.h>\nint main(void)\n{\n    puts(\"hello\");\n    return 0;\n}\n"


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Bench:
    """The context of every part: the build folder, a temporary folder, and whether the run is quick."""

    def __init__(self, build, quick):
        self.build, self.quick = os.path.abspath(build), quick
        self.cores = len(os.sched_getaffinity(0))
        os.environ["EVALX_BINARY"] = os.path.join(self.build, "evalx")
        sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
        import harness

        self.harness = harness
        self.folder = harness.make_folder()
        self.floor_program = os.path.join(self.folder, "floor")
        self.compile("gcc", os.path.join(ROOT, "bench", "floor.c"), self.floor_program, "-D_GNU_SOURCE",
                     os.path.join(ROOT, "bench", "floor_namespaces.c"))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def many(self, quick, full):
        return quick if self.quick else full

    def compile(self, compiler, source, target, *flags):
        subprocess.run([compiler, "-O2", *flags, "-o", target, source], check=True, stdin=subprocess.DEVNULL)
        return target

    def hello(self, *flags):
        """The C program of most parts, compiled on the host as evalx compiles it."""
        source = write(os.path.join(self.folder, "hello.c"), C_CODE)
        return self.compile("gcc", source, os.path.join(self.folder, "hello" + "".join(flags)), *flags)

    def target(self, *names):
        """Builds targets below the build folder that are not built by default; their paths."""
        subprocess.run(["ninja", "-C", self.build, *names], check=True, stdout=subprocess.DEVNULL)
        return [os.path.join(self.build, name) for name in names]

    def floor_ms(self, count, *argv):
        """Milliseconds of `count` runs of a command, one after the other."""
        out = subprocess.run([self.floor_program, str(count), "1", *argv], check=True, capture_output=True, text=True)
        return [float(line) / 1000 for line in out.stdout.split()]

    def floor_rate(self, each, jobs, *argv, namespaces=False):
        """Runs per second of `jobs` processes that start the command repeatedly, optionally in fresh namespaces."""
        out = subprocess.run([self.floor_program, *(["--namespaces"] if namespaces else []), str(each),
                              str(max(2, jobs)), *argv],
                             check=True, capture_output=True, text=True)
        return float(out.stdout)

    def settings(self, extra=None):
        return {"EVALX_SLOTS": str(self.cores), "EVALX_LOG": "warn", **(extra or {})}

    @contextlib.contextmanager
    def embedded(self, name, extra=None):
        """evalx as one process with an SQLite store."""
        server = self.harness.Evalx(name, ["server"], self.folder, self.settings(extra)).start().wait_ready()
        try:
            yield server
        finally:
            server.stop()

    @contextlib.contextmanager
    def fleet(self, name, extra=None, workers=1):
        """An API server, workers and a redis-server that flushes once a second, as Redis does by default."""
        folder = os.path.join(self.folder, name)
        os.mkdir(folder, 0o755)
        fleet = self.harness.Fleet(folder, workers=workers, env=self.settings({"EVALX_LEASE_MS": "15000",
                                                                               **(extra or {})}))
        fleet.redis.use(fleet.redis.data, "everysec")
        try:
            fleet.start()
            yield fleet
        finally:
            fleet.stop()

    @contextlib.contextmanager
    def store(self, kind, name, extra=None):
        """The process that serves HTTP, for either store."""
        if kind == "sqlite":
            with self.embedded(name, extra) as server:
                yield server
        else:
            with self.fleet(name, extra) as fleet:
                yield fleet.api


def element(language, code, **more):
    return {"language": language, "version": "latest", "code": code, "timeout": 10, "memory_limit": "256m", **more}


def request(method, path, body=None):
    content = b"" if body is None else json.dumps(body).encode()
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n").encode() + content


class Client:
    """One persistent connection."""

    def __init__(self, port, timeout=90):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()

    def ask(self, sent):
        """The whole answer as bytes: head and body."""
        self.link.sendall(sent)
        return self.answer()

    def answer(self):
        found = self.link.recv(65536)
        while b"\r\n\r\n" not in found:
            more = self.link.recv(65536)
            if not more:
                raise SystemExit(f"bench: the server closed the connection after {found!r}")
            found += more
        head, body = found.split(b"\r\n\r\n", 1)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        parts, missing = [body], length - len(body)
        while missing > 0:
            more = self.link.recv(65536)
            if not more:
                raise SystemExit("bench: the server closed the connection within an answer")
            parts.append(more)
            missing -= len(more)
        return head, b"".join(parts)

    def json(self, sent):
        return json.loads(self.ask(sent)[1])

    def run(self, sent):
        """Milliseconds from the first byte of a POST with ?wait= to the last of its answer, and that answer."""
        begin = time.perf_counter()
        _, body = self.ask(sent)
        spent = (time.perf_counter() - begin) * 1000
        return spent, json.loads(body)

    def run_by_get(self, sent):
        """The same with a POST that does not wait, and a GET that does."""
        begin = time.perf_counter()
        _, body = self.ask(sent)
        token = json.loads(body)["token"]
        _, body = self.ask(f"GET /submissions/{token}?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        spent = (time.perf_counter() - begin) * 1000
        return spent, json.loads(body)


def right(found, count=1, said="hello\n"):
    """The results.  A wrong answer ends the benchmark."""
    results = found.get("results") or []
    bad = [r for r in results if r["stdout"] != said or r["exit_code"] != 0]
    if found.get("status") != "Completed" or len(results) != count or bad:
        raise SystemExit(f"bench: wrong answer: {json.dumps(found)[:1000]}")
    return results


def submission(language, code, tests=1, wait=30, **more):
    """A POST of one program, with `tests` equal tests."""
    body = [element(language, code, **more)] + [{"stdin": ""}] * (tests - 1)
    return request("POST", f"/execute/batch?wait={wait}" if wait else "/execute/batch", body)
