#!/usr/bin/env python3
"""Shows that run_attacks.py can fail: does each kind of damage on purpose, which must be detected."""
import ctypes
import os
import shutil
import socket
import tempfile
import time
import unittest

import attack
import canaries

RESULT = {"status": "accepted", "stdout": "refused\n", "stderr": None, "exit_code": 0, "signal": None, "cpu_time": 0.2,
          "wall_time": 0.3, "memory_bytes": 1 << 20, "message": None, "output_replaced": False}
SECRET = {"@SECRET@": "canary-0123"}


class NoServer:
    """Stands in for evalx in the runner: folders, users, and figures that the test sets."""

    def __init__(self, folder):
        self.start_folder = os.path.join(folder, "start")
        self.data = folder
        self.figures = {"our processes": ((1, "evalx"),), "groups": (), "resident launcher 2": 1 << 20,
                        "answering": True}
        os.mkdir(self.start_folder)

    @staticmethod
    def owns(uid):
        return uid == 1_234_567_890

    def state(self):
        return dict(self.figures)


@unittest.skipIf(os.geteuid() != 0, "the canaries read what only root may")
class CanariesNotice(unittest.TestCase):
    def setUp(self):
        self.folder, self.other = tempfile.mkdtemp(), tempfile.mkdtemp()
        self.server = NoServer(self.other)
        self.canaries = canaries.Canaries(self.folder, strict=False)
        self.before = self.canaries.snapshot(self.server)

    def tearDown(self):
        self.canaries.close()
        shutil.rmtree(self.folder)
        shutil.rmtree(self.other)

    def problems(self):
        return "\n".join(self.canaries.compare(self.before, self.canaries.snapshot(self.server)))

    def test_nothing_when_nothing_happened(self):
        self.assertEqual("", self.problems())

    def test_content_mode_time_and_links_of_files(self):
        path = os.path.join(self.folder, "open", "writable")
        for damage in (lambda: os.chmod(path, 0o600), lambda: os.utime(path, (1, 1)),
                       lambda: os.link(path, os.path.join(self.other, "link")), lambda: os.truncate(path, 1),
                       lambda: os.unlink(path)):
            damage()
            self.assertIn("open/writable", self.problems())
            self.before = self.canaries.snapshot(self.server)

    def test_new_files(self):
        for folder in (os.path.join(self.folder, "open"), self.server.start_folder):
            open(os.path.join(folder, "new"), "w", encoding="utf-8").close()
            self.assertIn("/new", self.problems())
            self.before = self.canaries.snapshot(self.server)
        path = f"/tmp/evalx-attack-{os.getpid()}"
        os.mkdir(path)
        try:
            self.assertIn("entries of /tmp", self.problems())
        finally:
            os.rmdir(path)

    def test_visits(self):
        words = self.canaries.words()
        with socket.create_connection(("127.0.0.1", words["@TCP_PORT@"])):
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.sendto(b"x", ("127.0.0.1", words["@UDP_PORT@"]))
        for path in ("\0" + words["@ABSTRACT@"], self.folder + "/open/socket"):
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(path)
        end = time.monotonic() + 5
        while len(self.canaries.listeners.visits) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(4, self.problems().count("was visited"))

    def test_shared_memory(self):
        libc = ctypes.CDLL(None)
        segment = libc.shmget(0, 4096, 0o1600)
        try:
            self.assertIn("ipc shm", self.problems())
        finally:
            libc.shmctl(segment, 0, None)

    def test_processes_groups_memory_and_silence(self):
        for name, value in (("our processes", ((1, "evalx"), (9, "stray"))), ("groups", (("slot-0/run", 1),)),
                            ("resident launcher 2", 1 << 30), ("answering", False)):
            kept, self.server.figures[name] = self.server.figures[name], value
            self.assertIn(name, self.problems())
            self.server.figures[name] = kept


class ExpectationsFail(unittest.TestCase):
    def mismatch(self, line, **changes):
        return attack.Expectation(line, {}, 1).mismatch({**RESULT, **changes})

    def test_what_holds(self):
        line = 'accepted stdout="refused\\n" cpu<=200 wall>=300 memory<=1m exit=0 stdout!~"x"'
        self.assertIsNone(self.mismatch(line))

    def test_what_does_not(self):
        for line in ("time_limit", 'accepted stdout="other\\n"', 'accepted stdout~"^x"', 'accepted stdout!~"ref"',
                     "accepted cpu<=199", "accepted wall>=301", "accepted memory<=1023k", "accepted exit=1",
                     "accepted signal=SIGSYS|SIGSEGV", "accepted replaced", "http=400", "accepted stdout<=3"):
            self.assertIsNotNone(self.mismatch(line), line)

    def test_lines_nobody_understands(self):
        for line in ("accpeted", "accepted stdot=1", 'stdout="x"'):
            with self.assertRaises(attack.Malformed):
                attack.Expectation(line, {}, 1)

    def test_escapes_and_secrets_fail_whatever_was_expected(self):
        one = attack.Attack("kernel/ptrace.c")
        self.assertIsNone(one.judge(RESULT, SECRET, 1))
        one.expect_lines = ["accepted"]
        self.assertIn("escaped", one.judge({**RESULT, "stdout": "ESCAPED: x\n"}, SECRET, 1))
        self.assertIn("secret", one.judge({**RESULT, "stderr": "canary-0123"}, SECRET, 1))


if __name__ == "__main__":
    unittest.main()
