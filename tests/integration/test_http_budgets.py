"""What clients can make the server hold: bodies, parsed values, answers.  Each has a bound."""
import json
import os
import socket
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


# ---- answers ------------------------------------------------------------------------------------------------------

def large_results(client, count, mib=8):
    """Tokens of ended submissions whose results have so many MiB each."""
    code = "import sys\nsys.stdout.write('%d' * (4 * 1024 * 1024 - 1))"
    jobs = [{"language": "python", "version": "3", "code": code % i, "timeout": 10,
             "limits": {"output_bytes": 4 * MIB}, "tests": [{"stdin": ""}] * (mib // 4)} for i in range(count)]
    tokens = [client.submit(job, "/execute") for job in jobs]
    for token in tokens:
        client.get(f"/submissions/{token}?wait=50")
    return tokens


def slow_reader(port, token):
    """A client that asks for a result and then reads nothing."""
    made = Socket(port)
    made.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.send(get(b"/submissions/" + token.encode()))
    return made


def test_slow_readers_share_one_copy_of_a_result(embedded):
    client = embedded.client(120)
    token = large_results(client, 1, 16)[0]
    readers = [slow_reader(embedded.port, token) for _ in range(30)]
    try:
        harness.wait_until("all are being answered", lambda: all(
            reader.socket.recv(1, socket.MSG_PEEK) for reader in readers), 30)
        assert resident(embedded.pid) < 200 * MIB
        for path in (f"/submissions/{token}", f"/submissions/{token}?wait=1"):
            answer = client.get(path)
            assert answer.status == 200 and len(answer.json()["results"]) == 4
            assert all(len(result["stdout"]) == 4 * MIB - 1 for result in answer.json()["results"])
    finally:
        for reader in readers:
            reader.socket.close()
    harness.wait_until("the copy is dropped", lambda: resident(embedded.pid) < 80 * MIB, 20)


def test_answers_share_a_budget_and_slow_readers_lose(start_evalx):
    small = start_evalx({"EVALX_ANSWERS_BYTES": "20m"})
    client = small.client(120)
    tokens = large_results(client, 4)
    readers = [slow_reader(small.port, token) for token in tokens[:3]]
    try:
        begin = time.monotonic()
        assert client.post("/execute?wait=20", ECHO).json()["results"][0]["stdout"] == "hi\n"  # small ones are answered
        answer = client.get(f"/submissions/{tokens[3]}")
        assert answer.status in (200, 503) and resident(small.pid) < 120 * MIB
        if answer.status == 503:
            assert answer.headers["Retry-After"] and time.monotonic() - begin > 5
        harness.wait_until("the slow readers are dropped",
                           lambda: client.get(f"/submissions/{tokens[3]}").status == 200, 60)
        metrics = client.get("/metrics").text
        assert "evalx_http_answer_bytes" in metrics and "evalx_http_body_bytes" in metrics
    finally:
        for reader in readers:
            reader.socket.close()


def test_a_large_result_reaches_every_kind_of_request(embedded):
    client = embedded.client(120)
    code = "import sys\nsys.stdout.write('x' * (2 * 1024 * 1024))"
    job = {"language": "python", "version": "3", "code": code, "timeout": 10, "limits": {"output_bytes": 4 * MIB}}
    answer = client.post("/execute?wait=50", job, {"Idempotency-Key": "large"})
    again = client.post("/execute?wait=50", job, {"Idempotency-Key": "large"})
    parallel = client.post("/execute-parallel", [job])
    for found in (answer, again):
        assert len(found.json()["results"][0]["stdout"]) == 2 * MIB and found.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(parallel.json()[0]["stdout"]) == 2 * MIB and parallel.headers["Location"]
    head = client.request("HEAD", answer.headers["Location"])
    assert head.status == 200 and int(head.headers["Content-Length"]) > 2 * MIB
    cancelled = client.request("DELETE", answer.headers["Location"])
    assert len(cancelled.json()["results"][0]["stdout"]) == 2 * MIB


# ---- WebSockets ---------------------------------------------------------------------------------------------------

def half_a_message(port):
    """A WebSocket whose client has sent 40 KiB of a message of 60 KiB."""
    made = Socket(port)
    made.send(get(b"/ws", b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
    assert made.read(0.1, 10).status == 101
    made.send(b"\x81\xfe" + (60 << 10).to_bytes(2, "big") + bytes(4) + b"x" * (40 << 10))
    return made


def test_half_received_messages_share_a_budget(start_evalx):
    small = start_evalx({"EVALX_WEBSOCKET_BYTES": "200k"})
    with small_client(small) as idle:
        held = [half_a_message(small.port) for _ in range(12)]
        try:
            closed = harness.wait_until("those above the budget are dropped",
                                        lambda: sum(one.read(0.05).closed for one in held) >= 7, 20)
            assert closed and not idle.read(0.1).closed, "a connection that holds little stays"
        finally:
            for one in held:
                one.socket.close()


def small_client(server):
    made = Socket(server.port)
    made.send(get(b"/ws", b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
    assert made.read(0.1, 10).status == 101
    return made
