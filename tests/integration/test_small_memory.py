"""The whole engine in a memory group of 512 MiB, while clients do the worst: large bodies, results and artifacts, and
readers that do not read."""
import json
import os
import random
import socket
import threading
import time

import pytest

import harness
from raw_http import Socket, ask, get, post

MIB = 1 << 20
# AddressSanitizer at least doubles the memory of a process: redzones, shadow memory, freed blocks it keeps.
LIMIT = (1024 if "ASAN_OPTIONS" in os.environ else 512) * MIB
V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"


class MemoryGroup:
    """A child group of the root, with a limit."""

    def __init__(self):
        self.is_v1 = os.path.exists(os.path.join(V1, "memory.limit_in_bytes"))
        self.path = os.path.join(V1 if self.is_v1 else V2, f"evalx-test-memory-{os.getpid()}")
        os.mkdir(self.path)
        self.write("memory.limit_in_bytes" if self.is_v1 else "memory.max", LIMIT)

    def write(self, name, value):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def kills(self):
        name = "memory.oom_control" if self.is_v1 else "memory.events"
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return dict(line.split() for line in file)["oom_kill"]

    def remove(self):
        harness.wait_until("the memory group is removed", self.try_remove)

    def try_remove(self):
        try:
            os.rmdir(self.path)
        except OSError:
            return False
        return True


@pytest.fixture
def small(evalx_binary, folder, leave_nothing):
    """A server in a memory group of 512 MiB."""
    try:
        group = MemoryGroup()
    except OSError as why:
        pytest.skip(f"no memory group can be made here: {why}")
    server = harness.Evalx("server", ["server"], folder)
    server.command = ["sh", "-c", f'echo $$ > {group.path}/cgroup.procs && exec "$0" "$@"', *server.command]
    server.group = group
    server.start()
    yield server.wait_ready()
    left = harness.stop_all([server], [server])
    group.remove()
    assert not left, "\n".join(left)


def results_of_control_characters(number):
    code = f"import sys\nsys.stdout.write(chr(1) * (16 * 1024 * 1024 - 1)) # {number}"
    return {"language": "python", "version": "3", "code": code, "timeout": 10,
            "limits": {"output_bytes": 16 * MIB}, "tests": [{"stdin": ""}] * 6}


def artifacts_of_110_mib():
    return [{"language": "c", "version": "latest", "timeout": 10,
             "code": f"char pad[110 << 20] = {{1}}; int main() {{ return pad[{i}] - pad[{i}]; }}"} for i in range(16)]


class Storm:
    """Threads that repeat the worst requests until it ends."""

    def __init__(self, port, seconds):
        self.port, self.end = port, time.monotonic() + seconds
        self.tokens, self.statuses = [], set()

    def submit(self, path, body):
        reply = ask(self.port, post(path, body), 0.3)
        self.statuses.add(reply.status)
        if reply.status == 200 and b'"token"' in reply.body:
            self.tokens.append(reply.json()["token"])

    def results(self, thread):
        self.submit(b"/execute", json.dumps(results_of_control_characters(f"{thread} {time.monotonic()}")).encode())

    def bodies(self, thread):
        objects = b"[" + b",".join([b"{}"] * (16 * MIB // 3 - 1)) + b"]"
        text = json.dumps({"language": "bash", "version": "5", "code": "echo", "stdin": "x" * (15 * MIB)}).encode()
        self.submit(b"/execute/batch" if thread % 2 else b"/execute", objects if thread % 2 else text)

    def artifacts(self, _):
        self.submit(b"/execute/batch?wait=2", json.dumps(artifacts_of_110_mib()).encode())

    def readers(self, _):
        held = []
        for _ in range(40):
            if not self.tokens:
                break
            held.append(Socket(self.port))
            held[-1].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            held[-1].send(get(b"/submissions/" + random.choice(self.tokens).encode()))
        time.sleep(1)
        for one in held:
            one.socket.close()

    def run(self):
        def repeat(what, number):
            while time.monotonic() < self.end:
                what(number)

        kinds = [(self.results, 2), (self.bodies, 4), (self.artifacts, 1), (self.readers, 2)]
        threads = [threading.Thread(target=repeat, args=(what, i)) for what, count in kinds for i in range(count)]
        for thread in threads:
            thread.start()
        return threads


def test_the_engine_survives_the_worst_in_512_mib(small):
    storm = Storm(small.port, 10)
    threads = storm.run()
    while any(thread.is_alive() for thread in threads):
        begin = time.monotonic()
        assert ask(small.port, get(b"/healthz"), 0.1).status == 200
        assert time.monotonic() - begin < 5 * harness.SLOWNESS, "others wait too long"
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert small.running() and storm.statuses <= {200, 400, 429, 503}, storm.statuses
    assert small.group.kills() == "0"
    client = small.client(60)
    for token in storm.tokens:
        client.request("DELETE", f"/submissions/{token}")
    answer = client.post("/execute?wait=30", {"language": "bash", "version": "5", "code": "echo hi"})
    assert answer.status == 200 and answer.json()["results"][0]["stdout"] == "hi\n", answer.text
