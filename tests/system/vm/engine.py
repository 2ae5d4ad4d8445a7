"""engine: evalx in a virtual machine (machine.py), used from outside, and the steps of a test.

Shared by golden.py and compose.py.  Steps build on one another.  Names of steps on the command line select the last
ones to run.
"""
import argparse
import http.client
import json
import os
import re
import shutil
import socket
import time

from machine import PATIENCE, Failure, Machine


def check(condition, words):
    if not condition:
        raise Failure(words)


class Engine:
    """evalx in a machine, used from outside."""

    PORT = 3000  # of the guest, where the API listens
    PORTS = (PORT,)

    def __init__(self, machine, log):
        self.machine, self.log = machine, log
        self.sh, self.run = machine.sh, machine.run

    # ---- HTTP, from outside ----

    def ask(self, method, path, body=None, seconds=30):
        link = http.client.HTTPConnection("127.0.0.1", self.machine.ports[self.PORT], timeout=seconds * PATIENCE)
        try:
            link.request(method, path, json.dumps(body) if body is not None else None,
                         {"Content-Type": "application/json"} if body is not None else {})
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()

    def answers(self, path):
        try:
            return self.ask("GET", path, seconds=10)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait(self, what, condition, seconds=120):
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > seconds * PATIENCE:
                raise Failure(f"after {seconds * PATIENCE:.0f} s still not: {what}")
            time.sleep(0.3)
        took = time.monotonic() - begin
        self.log(f"{what}: after {took:.1f} s")
        return took

    def wait_ready(self, seconds=120):
        return self.wait("the API and a worker are ready", lambda: self.answers("/readyz"), seconds)

    def submit(self, programs):
        status, body = self.ask("POST", "/execute/batch", programs)
        check(status == 200, f"POST /execute/batch: {status}: {body}")
        return json.loads(body)["token"]

    def look(self, token):
        status, body = self.ask("GET", f"/submissions/{token}")
        check(status == 200, f"GET /submissions/{token}: {status}: {body}")
        return json.loads(body)

    def wait_state(self, token, states, seconds=180):
        self.wait(f"{token} is {'/'.join(states)}", lambda: self.look(token)["status"] in states, seconds)
        return self.look(token)

    def expect_outputs(self, token, outputs, seconds=240):
        found = self.wait_state(token, ("Completed", "Failed"), seconds)
        check(found["status"] == "Completed", f"{token}: {found}")
        got = [result["stdout"] for result in found["results"]]
        check(got == outputs, f"{token}: expected {outputs}, got {found['results']}")

    def run_batch(self):
        programs = [{"language": "bash", "version": "*", "code": "read a; echo $((a * a))", "stdin": f"{n}\n"}
                    for n in range(8)]
        programs.append({"language": "python", "version": "*", "code": "print(sum(map(int, input().split())))",
                         "stdin": "20 22\n"})
        self.expect_outputs(self.submit(programs), [f"{n * n}\n" for n in range(8)] + ["42\n"])

    def sleeper(self, seconds):
        """Submits a job that runs for this many seconds."""
        limits = {"cpu_time_ms": 60000, "wall_time_ms": 120000}
        return self.submit([{"language": "bash", "version": "*", "code": f"sleep {seconds}; echo done",
                             "limits": limits}])

    def running(self, seconds):
        """Submits a job and waits until it runs."""
        token = self.sleeper(seconds)
        self.wait_state(token, ("Processing",))
        return token

    # ---- the machine ----

    def reboot(self):
        self.machine.send("systemctl reboot")
        self.machine.wait_end()
        took = self.machine.start()
        self.log(f"rebooted: a shell after {took:.0f} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main(kind, all_steps, needed, words):
    """Runs the steps, methods of a subclass of Engine.  On failure the command `words` prints more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--machine", required=True)
    parser.add_argument("--kernel-words", required=True)
    parser.add_argument("steps", nargs="*", help=f"of {', '.join(all_steps)}; those that others need are done always")
    arguments = parser.parse_args()
    steps = [s for s in all_steps if not arguments.steps or s in arguments.steps or s in needed]
    ports = {port: free_port() for port in kind.PORTS}
    begin = time.monotonic()
    with open(arguments.log, "w", encoding="utf-8") as file:
        def log(text, shown=False):
            for line in text.splitlines():
                file.write(f"[{time.monotonic() - begin:5.0f} s] {line}\n")
            file.flush()
            if shown:
                print(f"[{time.monotonic() - begin:5.0f} s] {text}", flush=True)

        machine = Machine([*arguments.machine.split(), "-append", arguments.kernel_words], arguments.folder, ports, log)
        engine = kind(machine, log)
        try:
            for step in steps:
                log(f"==== {step}", shown=True)
                getattr(engine, step)()
        except Failure as failure:
            log(f"FAILED in {step}: {failure}", shown=True)
            if machine.process is not None and machine.process.poll() is None:
                try:
                    engine.run(words, 240)
                except Failure:
                    pass
            return 1
        finally:
            machine.kill()
            for number in range(1, machine.boots + 1):
                console = os.path.join(arguments.folder, f"console{number}")
                if os.path.exists(console):
                    shutil.copy(console, f"{os.path.splitext(arguments.log)[0]}-console{number}.log")
    with open(arguments.log, encoding="utf-8") as file:
        for line in file:
            if re.search(r"took|: after|systemd-analyze security|comparison|a shell", line):
                print(line.rstrip())
    return 0

