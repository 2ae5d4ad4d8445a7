"""The harness detects leftovers: a process, a program by its uid, a cgroup, a mount."""
import os
import signal
import subprocess

import pytest

import harness


def test_process_left_behind_is_found(folder):
    evalx = harness.Evalx("server", ["server"], folder)
    assert evalx.leftovers() == []
    env = {**os.environ, "EVALX_TEST_ID": evalx.test_id}
    with subprocess.Popen(["sleep", "60"], env=env) as left:
        try:
            harness.wait_until("it is found", lambda: [found[0] for found in evalx.leftovers()] == [left.pid])
            with pytest.raises(AssertionError, match=str(left.pid)):
                evalx.assert_nothing_left(seconds=0.1)
        finally:
            left.kill()
    evalx.assert_nothing_left()


def test_program_of_a_run_left_behind_is_found(folder):
    """A program does not inherit our environment, so it is recognized by its user id."""
    evalx = harness.Evalx("server", ["server"], folder)
    with subprocess.Popen(["sleep", "60"], env={}, user=evalx.uid_base + 3) as left:
        try:
            harness.wait_until("it is found", lambda: [found[0] for found in evalx.leftovers()] == [left.pid])
        finally:
            left.kill()
    evalx.assert_nothing_left()


def test_redis_keeps_what_it_acknowledged(redis_server):
    assert redis_server.call("SET", "kept", "yes") == b"+OK\r\n"
    redis_server.kill9()
    assert not redis_server.running()
    redis_server.start()
    assert redis_server.call("GET", "kept") == b"$3\r\nyes\r\n"
    assert redis_server.stop() == 0


def test_a_program_that_ends_early_is_reported_with_its_log(folder):
    evalx = harness.Evalx("server", ["server"], folder)
    evalx.command = ["sh", "-c", "echo the reason; exit 3"]
    evalx.start()
    evalx.wait()
    with pytest.raises(AssertionError, match="ended with 3:\nthe reason"):
        evalx.wait_ready()


def test_a_process_that_ignores_sigterm_is_killed_and_reported(folder):
    deaf = harness.Process("deaf", ["sh", "-c", "trap '' TERM; echo set; while :; do sleep 0.1; done"],
                           dict(os.environ), folder).start()
    harness.wait_until("the trap is set", lambda: "set" in deaf.log())
    with pytest.raises(AssertionError, match="deaf still runs"):
        deaf.stop(seconds=0.5)
    assert not deaf.running() and deaf.process.returncode == -signal.SIGKILL
