"""Limits of open files and of processes: a process that cannot work with them refuses to start and names the number it
needs, and connections never take what the other parts need.
"""
import os
import re
import socket

import pytest

import harness

SLOTS = 2
NEEDED = 48 + 32 + 96 + SLOTS * 48  # src/daemon/resources.c, of a server with a worker and SQLite


def limited(server, files=None, processes=None):
    """The server starts with these limits, hard ones too."""
    sets = [f"ulimit -n {files}"] * (files is not None) + [f"ulimit -u {processes}"] * (processes is not None)
    server.command = ["bash", "-c", " && ".join(sets) + ' && exec "$@"', "bash", *server.command]
    return server


def echo(number):
    return [{"language": "bash", "version": "*", "code": "read n; echo $((n * n))", "stdin": f"{number}\n"}]


def hold_connections(server, count):
    """Idle connections, as many of `count` as the server takes."""
    held = []
    for _ in range(count):
        link = socket.socket()
        link.settimeout(2)
        try:
            link.connect(("127.0.0.1", server.port))
        except OSError:
            break
        held.append(link)
    return held


@pytest.mark.parametrize("files", [64, 256, 1000])
def test_too_few_open_files_are_refused(folder, files):
    server = limited(harness.Evalx("server", ["server"], folder), files).start()
    assert server.wait(20) == 1
    assert re.search(rf"the limit of open files is {files}, and with {SLOTS} slots at least 1024 are needed: "
                     r"raise it \(ulimit -Hn 1024, or LimitNOFILE=1024", server.log()), server.log()


def test_too_few_processes_are_refused(folder):
    server = limited(harness.Evalx("server", ["server"], folder), processes=20).start()
    assert server.wait(20) == 1
    assert re.search(r"the limit of processes is 20, and at least \d+ threads are needed", server.log()), server.log()


def test_a_soft_limit_is_raised(folder, leave_nothing):
    server = harness.Evalx("server", ["server"], folder)
    server.command = ["sh", "-c", 'ulimit -Sn 64 && exec "$@"', "sh", *server.command]
    leave_nothing(server).start().wait_ready()
    client = server.client()
    assert client.run(echo(3))["results"][0]["stdout"] == "9\n"


def test_connections_leave_what_runs_need(folder, leave_nothing):
    """As many idle connections as the server takes, and all submissions end right."""
    server = limited(leave_nothing(harness.Evalx("server", ["server"], folder)), 1024).start().wait_ready()
    assert "connections_max reduced from 10000 to " in server.log()
    client = server.client()
    assert client.run(echo(2))["results"][0]["stdout"] == "4\n"
    held = hold_connections(server, 1100)
    try:
        tokens = [(client.submit(echo(number)), number) for number in range(40)]
        for token, number in tokens:
            answer = client.poll(token)
            assert [one["stdout"] for one in answer["results"]] == [f"{number * number}\n"], answer
        assert "Too many open files" not in server.log()
    finally:
        for link in held:
            link.close()


def test_an_api_server_with_few_descriptors(folder, redis_server, leave_nothing):
    env = redis_server.settings()
    few = limited(harness.Evalx("few", ["server"], folder, env), 100).start()
    assert few.wait(20) == 1 and "the limit of open files is 100, and " in few.log(), few.log()
    api = limited(leave_nothing(harness.Evalx("api", ["server"], folder, env)), 160).start().wait_ready("/healthz")
    client = api.client()
    token = client.submit(echo(1))
    held = hold_connections(api, 200)
    try:
        for _ in range(20):
            assert client.get(f"/submissions/{token}").status == 200
            client.submit(echo(1))
        assert "Too many open files" not in api.log()
    finally:
        for link in held:
            link.close()


def test_no_more_is_open_than_was_computed(embedded):
    client = embedded.client()
    tokens = [client.submit([{"language": "c", "version": "*", "stdin": str(i),
                              "code": f"#include <stdio.h>\nint main(void) {{ puts(\"{i}\"); }}"}]) for i in range(12)]
    most = 0

    def all_ended():
        nonlocal most
        most = max(most, len(os.listdir(f"/proc/{embedded.pid}/fd")))
        return all(client.get(f"/submissions/{token}").json()["status"] == "Completed" for token in tokens)
    harness.wait_until("all have ended", all_ended, 60)
    assert most <= NEEDED, f"{most} descriptors were open"
