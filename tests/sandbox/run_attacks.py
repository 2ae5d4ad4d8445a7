#!/usr/bin/env python3
"""Runs the hostile programs of attacks/ against the real evalx, and checks after each that the host is unchanged.

    run_attacks.py [NAME ...]     all, or those whose name contains one of the words (or matches as a pattern)
      --list                      prints names and descriptions
      --repeat N                  each N times
      --mixed N                   N runs of good and hostile programs in random order instead
      --seed S                    of --mixed
      --tap                       the Test Anything Protocol instead of plain lines
      --images                    in images (./dev images) instead of the host's own /usr
      --strict                    nobody else uses this host (a virtual machine): every difference counts

Environment: EVALX_BINARY (else build/evalx), EVALX_TEST_SLOWNESS=N multiplies all times.
Needs root and Python's standard library.  Exit status: 0 all passed, 1 a failure, 77 cannot run here.
"""
import argparse
import ctypes
import fcntl
import fnmatch
import math
import os
import platform
import queue
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

import attack
import attack_server
import canaries
from shared_host import SLOWNESS

SLOTS = 2
SETTLE_S = 4.0
HOST_CHECK_AFTER_S = 0.3
SLOW = max(1, math.ceil(SLOWNESS))
GOOD = (("python", "print(sum(range(100)))", "4950\n"), ("bash", "echo $((6 * 7))", "42\n"),
        ("c", '#include <stdio.h>\nint main(void) { puts("good"); }', "good\n"),
        ("cpp", '#include <iostream>\nint main() { std::cout << "good\\n"; }', "good\n"),
        ("javascript", "console.log([3, 1, 2].sort().join())", "1,2,3\n"))


# One for each image, so that every slot has assembled each before the first snapshot of the host.
SLEEPERS = {"bash": "sleep 0.2", "python": "import time\ntime.sleep(0.2)\n",
            "javascript": "setTimeout(() => {}, 200);\n",
            "java": "class Main { public static void main(String[] a) throws Exception { Thread.sleep(200); } }\n"}


class Problem(Exception):
    """An attack did not have the expected result."""


class Host:
    """An action on the host while a program runs (the line `host:` of an attack)."""

    def __init__(self, line, words):
        self.what, *self.operands = attack.fill(line, words).split()
        self.problem = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        time.sleep(HOST_CHECK_AFTER_S * SLOW)
        try:
            getattr(self, self.what.replace("-", "_"))()
        except Problem as problem:
            self.problem = str(problem)

    def lock(self):
        for path in self.operands:
            with open(path, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise Problem(f"the host cannot lock {path}: {error}") from None

    def open(self):
        for path in self.operands:
            with open(path, "rb") as file:
                file.read(16)

    def no_listener(self):
        with socket.socket() as link:
            link.settimeout(1)
            if link.connect_ex(("127.0.0.1", int(self.operands[0]))) == 0:
                raise Problem(f"the host reaches a program at port {self.operands[0]}")

    def done(self):
        self.thread.join()
        if self.problem is not None:
            raise Problem(self.problem)


class Runner:
    def __init__(self, attacks, server, planted):
        self.attacks, self.server, self.canaries = attacks, server, planted
        self.words = {**planted.words(), "@API_PORT@": server.port, "@LISTEN_PORT@": attack_server.free_port(),
                      "@WORKER_PID@": server.process.pid, "@LAUNCHER_PID@": server.launchers()[0],
                      "@RUNNER_PID@": os.getpid(), "@DISK_MIB@": attack_server.DISK_MIB, "@SLOW@": SLOW,
                      "@NICENESS@": os.nice(0), "@LONGEST_NAME@": "n" * 198 + ".h",
                      "@MANY_FILES@": [{"name": f"f{i}", "content": ""} for i in range(65)],
                      "@LONG_ARGUMENTS@": ["x" * 200] * 60, "@LARGE@": "x" * 8388608}
        self.languages = server.languages()
        self.warm_up()
        self.baseline = planted.snapshot(server)

    def cannot_run(self, one):
        """The reason to skip the attack, or None."""
        if one.language not in self.languages and not one.name.endswith(".json"):
            return f"{one.language} is not installed"
        for need in one.needs:
            if need != platform.machine() and (need != "host" or self.server.in_images):
                return f"needs {need}"
        return None

    # ---- one attack

    def check(self, one, results, lenient=False):
        for copy, result in enumerate(results):
            reason = one.judge(result, self.words, SLOW, copy, lenient)
            if reason is not None:
                raise Problem(f"{reason}" if len(results) == 1 else f"copy {copy + 1} of {len(results)}: {reason}")
        if one.differ and len({result["stdout"] for result in results}) != len(results):
            raise Problem(f"two runs printed the same: {results[0]['stdout']}")

    def submit(self, one, copies):
        elements = [one.element(self.words, SLOW, copy) for copy in range(copies)]
        results = self.server.run(elements)
        if "http" not in results[0] and len(results) != copies:
            raise Problem(f"{copies} tests, {len(results)} results")
        return results

    def submit_parallel(self, one):
        """Separate submissions at the same time.  Results are in the order of the copies."""
        results = [None] * one.parallel

        def work(copy):
            results[copy] = self.server.run([one.element(self.words, SLOW, copy)])[0]

        in_threads(work, one.parallel)
        return results

    def submit_and_disturb(self, one):
        """Cancels the submission, or kills the slots' processes, while the program runs."""
        status, body = self.server.request("POST", "/execute/batch", [one.element(self.words, SLOW)])
        token = self.server.results(status, body)[0] if status != 200 else attack.json.loads(body)["token"]
        if isinstance(token, dict):
            raise Problem(f"not accepted: {token}")
        time.sleep((one.cancel_after_ms or one.kill_after_ms) / 1000 * SLOW)
        if one.cancel_after_ms:
            self.server.request("DELETE", f"/submissions/{token}")
        else:
            for pid in self.server.slot_processes() if one.kill == "slots" else self.server.launchers():
                os.kill(pid, signal.SIGKILL)
        return self.server.results(*self.server.request("GET", f"/submissions/{token}?wait=30"))

    def run_one(self, one):
        if one.after is not None:
            before = self.attacks[one.after]
            self.check(before, self.submit(before, 2 * SLOTS))
        other, problems = None, []
        if one.beside is not None:
            victim = self.attacks[one.beside]

            def run_victim():
                try:
                    self.check(victim, self.submit(victim, 1))
                except Problem as problem:
                    problems.append(f"{victim.name}: {problem}")

            other = threading.Thread(target=run_victim, daemon=True)
            other.start()
            time.sleep(one.delay_ms / 1000 * SLOW)
        host = Host(one.host, self.words) if one.host else None
        if one.cancel_after_ms or one.kill:
            results = self.submit_and_disturb(one)
        elif one.parallel > 1:
            results = self.submit_parallel(one)
        else:
            results = self.submit(one, one.copies)
        if other is not None:
            other.join()
        self.check(one, results)
        if host is not None:
            host.done()
        if problems:
            raise Problem(problems[0])

    def wait_for_slots(self):
        """Uses every slot once, also those that replace killed ones: a slot assembles images at its first run."""
        end = time.monotonic() + 10 * SLOW
        while len(self.server.slot_processes()) < SLOTS and time.monotonic() < end:
            self.warm_up()
        self.warm_up()

    def warm_up(self):
        for language, code in SLEEPERS.items() if self.server.in_images else [("bash", SLEEPERS["bash"])]:
            self.server.run([{"language": language, "version": "latest", "code": code}] * 2 * SLOTS)
        time.sleep(0.2 * SLOW)

    def look_at_host(self):
        """Waits until everything is as before.  Raises the remaining differences."""
        end = time.monotonic() + SETTLE_S * SLOW
        while True:
            problems = self.canaries.compare(self.baseline, self.canaries.snapshot(self.server))
            if not problems:
                return
            if time.monotonic() > end:
                self.baseline = self.canaries.snapshot(self.server) # reported once, not by every following attack
                raise Problem("on the host: " + "; ".join(problems))
            time.sleep(0.02)

    def run(self, one):
        """None, or the reason of the failure."""
        try:
            try:
                self.run_one(one)
            finally:
                if one.kill: # new slots are expected, no other change
                    self.wait_for_slots()
                    fresh = self.server.state()
                    self.baseline = {key: value for key, value in self.baseline.items()
                                     if not key.startswith(("descriptors", "resident", "mounts of"))} | fresh
                self.look_at_host()
        except Problem as problem:
            return str(problem)
        except OSError as error:
            return f"the server does not answer: {error!r}\n{attack_server.read(self.server.log_path)[-1500:]}"
        return None

    # ---- many

    def run_all(self, chosen, repeat, tap):
        failed = skipped = number = 0
        if tap:
            print(f"1..{len(chosen) * repeat}")
        for one in chosen:
            reason = self.cannot_run(one)
            for _ in range(repeat):
                number += 1
                begun = time.monotonic()
                problem = None if reason else self.run(one)
                took = time.monotonic() - begun
                failed += problem is not None
                skipped += reason is not None
                tell(tap, number, one, problem, reason, took)
        comment = "# " if tap else ""
        print(f"{comment}{number - failed - skipped} passed, {failed} failed, {skipped} skipped", flush=True)
        return failed == 0

    def run_mixed(self, runs, seed, chosen):
        """Good and hostile programs in random order from several clients.  Nothing may be lost, left over or grow."""
        print(f"mixed: {runs} runs, seed {seed}", flush=True)
        pick = random.Random(seed)
        hostile = [one for one in chosen if one.is_plain() and self.cannot_run(one) is None]
        good = [entry for entry in GOOD if entry[0] in self.languages]
        work, problems, seen = queue.Queue(), [], {"good": 0, "hostile": 0}
        marks, told = [], 0
        chunk = max(50, min(500, runs // 10))
        for begin in range(0, runs, chunk):
            for _ in range(min(chunk, runs - begin)):
                work.put(pick.choice(hostile) if hostile and pick.random() < 0.25 else pick.choice(good))
            in_threads(lambda _: self.drain(work, problems, seen), SLOTS + 1)
            try:
                self.look_at_host()
            except Problem as problem:
                problems.append(str(problem))
            marks.append(self.server.resident())
            shown = ", ".join(f"{name} {size >> 10} KiB" for name, size in marks[-1].items())
            print(f"  after {min(begin + chunk, runs)}: {shown}; {len(problems)} problems", flush=True)
            for problem in problems[told:told + 40]: # immediately: a long run may be interrupted
                print("FAILED", problem, flush=True)
            told = len(problems)
        first = marks[len(marks) // 3]
        for name, size in marks[-1].items():
            if size - first[name] > 8 << 20:
                problems.append(f"{name} grew from {first[name] >> 10} to {size >> 10} KiB")
                print("FAILED", problems[-1])
        print(f"mixed: {seen['good']} good and {seen['hostile']} hostile runs, {len(problems)} problems", flush=True)
        return not problems

    def drain(self, work, problems, seen):
        while True:
            try:
                one = work.get_nowait()
            except queue.Empty:
                return
            try:
                if isinstance(one, tuple):
                    language, code, said = one
                    result = self.server.run([{"language": language, "version": "latest", "code": code}])[0]
                    if result.get("status") != "accepted" or result["stdout"] != said:
                        problems.append(f"good {language}: {attack.brief(result)}")
                    seen["good"] += 1
                else:
                    self.check(one, self.submit(one, 1), lenient=True)
                    seen["hostile"] += 1
            except Problem as problem:
                problems.append(f"{one.name}: {problem}")
            except OSError as error:
                problems.append(f"the server does not answer: {error!r}")
                time.sleep(1)


def in_threads(work, count):
    failures = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:  # noqa: B902 - handed to the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def tell(tap, number, one, problem, skipped, took):
    if tap:
        end = f" # SKIP {skipped}" if skipped else ""
        print(f"{'not ok' if problem else 'ok'} {number} - {one.name}{end}", flush=True)
        if problem:
            print("# " + problem.replace("\n", "\n# "), flush=True)
    elif skipped:
        print(f"skipped: {one.name} ({skipped})", flush=True)
    elif problem:
        print(f"FAILED:  {one.name} ({problem})", flush=True)
    else:
        print(f"ok      {one.name} ({took:.2f} s)", flush=True)


def choose(attacks, patterns):
    chosen = [one for one in attacks.values() if not one.part]
    if patterns:
        chosen = [one for one in chosen if any(p in one.name or fnmatch.fnmatch(one.name, p) for p in patterns)]
    return chosen


def stop_and_look(server):
    """After the end there must be no process and no group."""
    trees, status = server.trees, server.stop()
    end = time.monotonic() + 5 * SLOW
    while time.monotonic() < end and (server.leftovers() or any(map(os.path.exists, trees))):
        time.sleep(0.05)
    left = [f"process {entry}" for entry in server.leftovers()] + [t for t in trees if os.path.exists(t)]
    if status != 0:
        left.append(f"exit status {status}:\n{attack_server.read(server.log_path)[-2000:]}")
    return left


def leave_other_mounts():
    """
    Into a mount namespace where nobody else mounts, cut off from the host's but shared in itself, as a host's root is
    under systemd: what evalx or a box lets out shows in the table of this process, and nothing else does.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, recursive, private, shared = 0x20000, 0x4000, 1 << 18, 1 << 20
    if libc.unshare(new_namespace) < 0 or any(libc.mount(b"none", b"/", None, recursive | kind, None) < 0
                                              for kind in (private, shared)):
        raise OSError(ctypes.get_errno(), "a mount namespace of its own")
    # Unmount images under construction: their paths would change when the builder renames its folder.
    for line in reversed(canaries.read_lines("/proc/self/mountinfo")):
        path = line.split()[4]
        if "/.build/" in path or path.startswith(("/tmp/", "/var/tmp/")):
            libc.umount2(path.encode(), 2)  # MNT_DETACH


def main():
    parser = argparse.ArgumentParser(description="hostile programs against the real evalx")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--mixed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--tap", action="store_true")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--images", action="store_true", help="in images (./dev images), not the host's /usr")
    options = parser.parse_args()
    attacks = attack.load_all()
    chosen = choose(attacks, options.names)
    if options.list:
        for one in chosen:
            print(f"{one.name}: {one.sentence}")
        print(f"{len(chosen)} attacks in {len(attacks)} files")
        return 0
    if not chosen:
        raise SystemExit("no attack has such a name")
    if os.geteuid() != 0:
        print("1..0 # SKIP the sandbox needs root" if options.tap else "skipped: the sandbox needs root")
        return 0 if options.tap else 77
    binary = os.path.abspath(os.environ.get("EVALX_BINARY", os.path.join(attack_server.ROOT, "build", "evalx")))
    if not os.access(binary, os.X_OK):
        raise SystemExit(f"{binary} is not there: build it, or set EVALX_BINARY")
    # Until this process ends, because two runs would take each other's canaries for the work of an attack.
    lock = open("/run/lock/evalx-attacks", "w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_EX)
    leave_other_mounts()
    folder = tempfile.mkdtemp(prefix="evalx-attacks-")
    canary_folder = tempfile.mkdtemp(prefix="evalx-canary-")
    for each in (folder, canary_folder):
        os.chmod(each, 0o755)
    server = attack_server.Server(binary, folder, SLOW, SLOTS, options.images)
    planted = canaries.Canaries(canary_folder, options.strict)
    held = False
    try:
        server.start()
        runner = Runner(attacks, server, planted)
        held = (runner.run_mixed(options.mixed, options.seed, chosen) if options.mixed
                else runner.run_all(chosen, options.repeat, options.tap))
    finally:
        if server.process is not None:
            for left in stop_and_look(server):
                print(f"{'# ' if options.tap else ''}FAILED left after the end: {left}")
                held = False
        planted.close()
        shutil.rmtree(folder)
        shutil.rmtree(canary_folder)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
