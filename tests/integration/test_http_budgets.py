"""What clients can make the server hold: bodies, parsed values, answers.  Each has a bound."""
import json
import os
import threading
import time

import pytest

import harness
from raw_http import HOST, Socket, ask, get, post

MIB = 1 << 20
ECHO = {"language": "bash", "version": "5", "code": "echo hi"}


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- bodies -------------------------------------------------------------------------------------------------------

MANY = {
    "objects": b"[" + b",".join([b"{}"] * (16 * MIB // 3 - 1)) + b"]",
    "names": b'{"language":"bash",' + b",".join(b'"%d":1' % i for i in range(1000000)) + b"}",
    "numbers": b"[[" + b"1," * (8 * MIB - 3) + b"1]]",
    "levels": b'[{"a":' * 50000,
}


@pytest.mark.parametrize("what", MANY)
def test_a_body_of_many_values_is_refused_before_it_is_built(embedded, what):
    before = resident(embedded.pid)
    begin = time.monotonic()
    answer = ask(embedded.port, post(b"/execute/batch", MANY[what]), 0.5)
    took = time.monotonic() - begin
    assert answer.status == 400 and "at most" in answer.error()["message"] and "line 1" in answer.error()["message"]
    assert resident(embedded.pid) - before < 64 * MIB
    # What the parser would take is ten times as long.
    assert took < 0.5 + 2 * harness.SLOWNESS


def test_memory_of_large_bodies_is_returned(embedded):
    client = embedded.client(120)
    before = resident(embedded.pid)
    client.post("/execute", dict(ECHO, stdin="x" * (8 * MIB)))
    client.post("/execute/batch", [dict(ECHO, args=["y" * 10] * 60, tests=[{"stdin": "z"}] * 10)] * 100)
    harness.wait_until("the memory is returned", lambda: resident(embedded.pid) - before < 40 * MIB, 30)


def test_a_short_body_does_not_wait_behind_long_ones(embedded):
    long = post(b"/execute", json.dumps(dict(ECHO, stdin="x" * (5 * MIB))).encode())
    short = post(b"/execute", json.dumps(dict(ECHO, stdin="x" * 40000)).encode())
    ended = []

    def submit(name, request):
        assert ask(embedded.port, request, 0.5).status == 200
        ended.append(name)

    threads = [threading.Thread(target=submit, args=("long", long)) for _ in range(5)]
    for thread in threads:
        thread.start()
    with Socket(embedded.port) as wait:
        wait.send(get(b"/healthz"))
        wait.read(0.2, 10)
    threads.append(threading.Thread(target=submit, args=("short", short)))
    threads[-1].start()
    for thread in threads:
        thread.join()
    assert ended.index("short") <= 2, ended


def test_bodies_share_a_budget(start_evalx):
    small = start_evalx({"EVALX_BODIES_BYTES": "8m"})
    head = b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (6 * MIB)
    with Socket(small.port) as first, Socket(small.port) as second:
        first.send(head + b" " * (5 * MIB))
        harness.wait_until("it was received", lambda: resident(small.pid) > 0 and ask(
            small.port, get(b"/healthz")).status == 200)
        second.send(head + b" " * (6 * MIB))
        refused = second.read(2, 20)
        assert refused.status == 503 and refused.headers["retry-after"]
    assert small.client().post("/execute", dict(ECHO, stdin="x" * (6 * MIB))).status == 200
