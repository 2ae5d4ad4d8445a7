"""The HTTP interface of the real binary: protocol rules over raw sockets, limits, bad bodies, long polls, WebSockets,
CORS, metrics, and the drain."""
import asyncio
import json
import os
import re
import signal
import threading
import time

import pytest
import websockets

import harness
from raw_http import HOST, Socket, ask, get, post

PYTHON = {"language": "python", "version": "3", "code": "print(int(input()) * 2)", "timeout": 5,
          "memory_limit": "128m"}
SLEEPER = {"language": "bash", "version": "5", "code": "sleep 3; echo done", "timeout": 10, "memory_limit": "128m"}
UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
ORIGIN = "access-control-allow-origin"


@pytest.fixture(scope="module")
def server():
    """One server for all tests that do not end it or change its settings."""
    with harness.shared_server({"EVALX_MAX_BODY_BYTES": "1m"}) as process:
        yield process


@pytest.fixture
def client(server):
    made = server.client()
    yield made
    made.close()


# ---- protocol -----------------------------------------------------------------------------------------------------

REFUSED_HEADS = {
    "length and coding": (post(b"/execute", b"{}", b"Transfer-Encoding: chunked\r\n"), 400),
    "two lengths": (post(b"/execute", b"{}", b"Content-Length: 3\r\n"), 400),
    "equal lengths": (post(b"/execute", b"{}", b"Content-Length: 2\r\n"), 400),
    "signed length": (b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length: +2\r\n\r\n{}", 400),
    "list of lengths": (b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    "blank before colon": (b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length : 2\r\n\r\n{}", 400),
    # 400: libmicrohttpd 1.0 and newer reject it before they call evalx.
    "unknown coding": (b"POST /execute HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n", (501, 400)),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get(b"/healthz", b"Host: y\r\n"), 400),
    "odd header name": (get(b"/healthz", b"X(Y): z\r\n"), 400),
    "blank in target": (b"GET /health z HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "told too long": (b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length: 52428800\r\n\r\n", 413),
    "too long, expecting": (b"POST /execute HTTP/1.1\r\n" + HOST +
                            b"Expect: 100-continue\r\nContent-Length: 52428800\r\n\r\n", 413),
    "body of a GET": (get(b"/healthz", b"Content-Length: 1\r\n") + b"x", 413),
    "other version": (b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", 505),
}


@pytest.mark.parametrize("why", REFUSED_HEADS)
def test_an_ambiguous_head_is_refused_and_the_connection_closed(server, why):
    request, status = REFUSED_HEADS[why]
    reply = ask(server.port, request)
    assert reply.status in (status if isinstance(status, tuple) else (status,))
    assert reply.closed
    assert reply.headers["connection"].lower() == "close"


def test_a_request_smuggled_behind_an_ambiguous_one_is_not_answered(server):
    hidden = b"GET /languages HTTP/1.1\r\n" + HOST + b"\r\n"
    request = (b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
               % (len(hidden) + 5) + b"0\r\n\r\n" + hidden)
    reply = ask(server.port, request)
    assert reply.status == 400 and reply.raw.count(b"HTTP/1.1 ") == 1


def test_a_body_of_50_mb_gets_its_413_though_the_client_goes_on_sending(server):
    with Socket(server.port) as s:
        s.send(b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length: 52428800\r\n\r\n")
        for _ in range(50):
            if not s.send(b"x" * (1 << 20)):
                break
        reply = s.read(2)
    assert reply.status == 413
    assert reply.error()["code"] == "body_too_large"
    assert re.fullmatch(r"the body is larger than \d{7,8} bytes", reply.error()["message"])


def test_a_chunked_body_is_counted(server):
    with Socket(server.port) as s:
        s.send(b"POST /execute HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            if not s.send(b"20000\r\n" + b"x" * 0x20000 + b"\r\n"):
                break
        reply = s.read(2)
    assert reply.status == 413 and reply.closed and "larger than" in reply.error()["message"]


def test_a_chunked_body_works(server):
    body = json.dumps(dict(PYTHON, stdin="4")).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7))
    reply = ask(server.port, b"POST /execute?wait=20 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" +
                chunks + b"0\r\n\r\n")
    assert reply.status == 200 and reply.json()["results"][0]["stdout"] == "8\n"


def test_expect_100_continue(server):
    body = json.dumps(PYTHON).encode()
    with Socket(server.port) as s:
        s.send(post(b"/execute", body, b"Expect: 100-continue\r\n")[:-len(body)])
        assert s.read().raw == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.send(body)
        assert s.read().status == 200


def test_a_huge_head_is_refused(server):
    reply = ask(server.port, get(b"/healthz", b"X: " + b"a" * 100000 + b"\r\n"))
    assert reply.closed and reply.status in (0, 400, 431)


def test_pipelined_requests_keep_their_order(server):
    reply = ask(server.port, get(b"/healthz") + get(b"/nowhere") + get(b"/"), 0.5)
    assert re.findall(rb"HTTP/1.1 (\d+)", reply.raw) == [b"200", b"404", b"200"]


def test_methods(client):
    answer = client.request("PUT", "/execute")
    assert answer.status == 405 and answer.headers["Allow"] == "POST, OPTIONS"
    assert answer.json()["error"]["code"] == "method_not_allowed"
    head = client.request("HEAD", "/healthz")
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == "15"
    assert client.get("/nowhere").json()["error"]["code"] == "not_found"


def test_slow_clients_are_cut_off(start_evalx):
    slow = start_evalx({"EVALX_REQUEST_DEADLINE_SECONDS": "2"})
    starts = [b"GET /healthz HTTP/1.1\r\nX: ", b"POST /execute HTTP/1.1\r\n" + HOST + b"Content-Length: 500\r\n\r\n"]
    sockets = [Socket(slow.port) for _ in range(100)]
    begin = time.monotonic()
    for i, s in enumerate(sockets):
        s.send(starts[i % 2])
    while time.monotonic() - begin < 1.5:
        for s in sockets:
            s.send(b"x")
        time.sleep(0.1)
    assert slow.client().get("/healthz").status == 200
    for s in sockets:
        assert s.closed_within(10 * harness.SLOWNESS), "a slow client still holds its connection"
        assert s.last.status == 408
        s.socket.close()
    assert time.monotonic() - begin < 8 * harness.SLOWNESS


def test_connections_of_one_address_are_limited(start_evalx):
    limited = start_evalx({"EVALX_CONNECTIONS_PER_IP": "5"})
    harness.wait_until("what asked for readiness has gone", lambda: not harness.connections_to(limited.port))
    sockets = [Socket(limited.port) for _ in range(5)]
    for s in sockets:
        s.send(get(b"/healthz"))
        assert s.read().status == 200
    with Socket(limited.port) as s:
        s.send(get(b"/healthz"))
        assert s.closed_within(5)
    for s in sockets:
        s.socket.close()
    harness.wait_until("a free place is given again", lambda: ask(limited.port, get(b"/healthz")).status == 200)


# ---- bad bodies ---------------------------------------------------------------------------------------------------

def batch(**changes):
    return json.dumps([dict(PYTHON, **changes)]).encode()


BAD_BODIES = {
    "empty": (b"", ""),
    "truncated": (b'[{"language":"python","version":"3",', ""),
    "100,000 deep": (b"[" * 100000, ""),
    "trailing text": (b"[] x", ""),
    "an object": (json.dumps(PYTHON).encode(), ""),
    "no elements": (b"[]", ""),
    "too many elements": (json.dumps([PYTHON] * 101).encode(), ""),
    "not UTF-8": (b'[{"language":"\xff"}]', ""),
    "element is a number": (b"[1]", "[0]"),
    "language is a number": (batch(language=1), "[0].language"),
    "unknown language": (batch(language="cobol-2026"), "[0].language"),
    "NUL in the code": (batch(code="print(1)\0"), "[0].code"),
    "code is a list": (batch(code=[]), "[0].code"),
    "negative timeout": (batch(timeout=-1), "[0].timeout"),
    "timeout is text": (batch(timeout="soon"), "[0].timeout"),
    "odd memory": (batch(memory_limit="lots"), "[0].memory_limit"),
    "negative limit": (batch(limits={"processes": -5}), "[0].limits.processes"),
    "huge limit": (batch(limits={"memory_bytes": 1 << 60}), "[0].limits.memory_bytes"),
}


@pytest.mark.parametrize("why", BAD_BODIES)
def test_a_bad_body_is_explained(client, why):
    body, field = BAD_BODIES[why]
    answer = client.post("/execute/batch", body)
    assert answer.status == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert len(error["message"]) > 10
    assert (error["field"] or "") == field


# ---- submissions --------------------------------------------------------------------------------------------------

def test_a_submission_is_answered_at_once(client):
    answer = client.post("/execute/batch", [dict(PYTHON, stdin="4"), {"stdin": "5"}])
    assert answer.status == 200
    body = answer.json()
    assert body == {"token": body["token"], "status": "Queued", "results": None}
    assert answer.headers["Location"] == "/submissions/" + body["token"]
    found = client.poll(body["token"])
    assert [r["stdout"] for r in found["results"]] == ["8\n", "10\n"]
    for name in ("created_at", "started_at", "finished_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found[name])


def test_waiting_answers_as_soon_as_it_is_done(client):
    begin = time.monotonic()
    answer = client.post("/execute?wait=30", dict(PYTHON, stdin="21"))
    assert answer.status == 200 and answer.json()["results"][0]["stdout"] == "42\n"
    assert time.monotonic() - begin < 5 * harness.SLOWNESS


def test_waiting_ends_when_its_time_is_over(client):
    begin = time.monotonic()
    answer = client.post("/execute?wait=0.5", SLEEPER)
    assert answer.status == 200 and answer.json()["status"] in ("Queued", "Processing")
    assert 0.4 < time.monotonic() - begin < 2.5 * harness.SLOWNESS
    answer = client.get(f"/submissions/{answer.json()['token']}?wait=20")
    assert answer.status == 200 and answer.json()["results"][0]["stdout"] == "done\n"


@pytest.mark.parametrize("wait", ["-1", "61", "x", "", "1e3", "1.", ".5", "1.2.3", "99999999999999999999"])
def test_an_impossible_wait_is_refused(client, wait):
    for answer in (client.get(f"/submissions/{UNKNOWN}?wait={wait}"), client.post(f"/execute?wait={wait}", PYTHON)):
        assert answer.status == 400 and answer.json()["error"]["field"] == "wait"


def test_many_waits_lose_no_wake_up(server):
    def one(i):
        client = server.client(60)
        answer = client.post("/execute?wait=50", dict(PYTHON, stdin=str(i)))
        assert answer.status == 200, answer.text
        assert answer.json()["results"][0]["stdout"] == f"{2 * i}\n"
        client.close()

    harness.in_threads(40, one)


def test_unknown_and_malformed_tokens(client):
    assert client.get(f"/submissions/{UNKNOWN}").status == 404
    assert client.get(f"/submissions/{UNKNOWN}?wait=5").status == 404
    assert client.request("DELETE", f"/submissions/{UNKNOWN}").status == 404
    for token in ("x", UNKNOWN.lower(), UNKNOWN + "0", "%00" + UNKNOWN[1:], "..%2f" + UNKNOWN[3:]):
        answer = client.get(f"/submissions/{token}")
        assert answer.status in (400, 404), token
        if answer.status == 400:
            assert answer.json()["error"]["field"] == "token"


def test_cancelling(client):
    token = client.submit(SLEEPER, "/execute")
    answer = client.request("DELETE", f"/submissions/{token}")
    assert answer.status == 200 and answer.json()["token"] == token
    begin = time.monotonic()
    found = client.get(f"/submissions/{token}?wait=10").json()
    assert found["status"] == "Failed" and "cancelled" in found["error"]
    assert time.monotonic() - begin < 2 * harness.SLOWNESS
    assert client.request("DELETE", f"/submissions/{token}").json()["status"] == "Failed"


def test_parallel_answers_the_bare_results_in_order(client):
    programs = [dict(PYTHON, stdin="1"), dict(SLEEPER, code="sleep 0.3; echo two"), dict(PYTHON, stdin="3")]
    answer = client.post("/execute-parallel", programs)
    assert answer.status == 200
    assert [r["stdout"] for r in answer.json()] == ["2\n", "two\n", "6\n"]


def test_a_full_queue_refuses(start_evalx):
    full = start_evalx({"EVALX_QUEUE_MAX": "2", "EVALX_SLOTS": "1"})
    client = full.client()
    answers = [client.post("/execute", SLEEPER) for _ in range(12)]
    refused = [a for a in answers if a.status == 503]
    assert refused and answers[0].status == 200
    assert all(a.headers["Retry-After"] and a.json()["error"]["code"] == "busy" for a in refused)
    for answer in answers:
        if answer.status == 200:
            client.request("DELETE", "/submissions/" + answer.json()["token"])


# ---- WebSockets ---------------------------------------------------------------------------------------------------

def talk(server, conversation, query="", **options):
    async def run():
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/ws{query}", **options) as ws:
            return await conversation(ws)

    return asyncio.run(asyncio.wait_for(run(), 30 * harness.SLOWNESS))


async def until_final(ws):
    heard = []
    while not heard or heard[-1]["status"] not in harness.FINAL:
        heard.append(json.loads(await ws.recv()))
    return heard


@pytest.mark.parametrize("how", ["query", "message"])
def test_a_websocket_reports_every_change(server, client, how):
    token = client.submit(dict(SLEEPER, code="sleep 0.5"), "/execute")

    async def conversation(ws):
        if how == "message":
            await ws.send(json.dumps({"subscribe": [token]}))
        return await until_final(ws)

    heard = talk(server, conversation, f"?token={token}" if how == "query" else "")
    assert {h["token"] for h in heard} == {token}
    states = [h["status"] for h in heard]
    assert states[-1] == "Completed" and states == sorted(set(states), key=["Queued", "Processing",
                                                                            "Completed"].index)


def test_a_websocket_reports_an_ended_submission_at_once(server, client):
    token = client.run([dict(PYTHON, stdin="1")])["token"]
    assert talk(server, until_final, f"?token={token}") == [{"token": token, "status": "Completed"}]


def test_a_websocket_gets_nothing_about_other_tokens(server, client):
    async def conversation(ws):
        await asyncio.get_running_loop().run_in_executor(None, lambda: client.run([dict(PYTHON, stdin="1")]))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.recv(), 1)

    talk(server, conversation)


def test_a_websocket_explains_invalid_messages(server):
    async def conversation(ws):
        heard = []
        for message in ("{", "[]", '{"subscribe": "x"}', '{"subscribe": ["x"]}', '{"subscribe": ["%s"]}' % UNKNOWN):
            await ws.send(message)
            heard.append(json.loads(await ws.recv()))
        return heard

    heard = talk(server, conversation)
    assert all(h["error"]["message"] for h in heard)
    assert heard[3]["error"]["field"] == "subscribe[0]"
    assert heard[4]["token"] == UNKNOWN and heard[4]["error"]["code"] == "not_found"


def closed_with(server, message):
    async def conversation(ws):
        await ws.send(message)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await ws.recv()
        return closed.value.rcvd.code

    return talk(server, conversation, max_size=None)


def test_close_codes(server):
    def token_of(i):
        digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        return UNKNOWN[:-3] + digits[i // 1024 % 32] + digits[i // 32 % 32] + digits[i % 32]

    assert closed_with(server, b"\x00\x01") == 1003
    assert closed_with(server, json.dumps({"subscribe": ["x" * 70000]})) == 1009
    assert closed_with(server, json.dumps({"subscribe": [token_of(i) for i in range(1001)]})) == 1008


def test_a_bad_handshake_is_refused(server):
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    good = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    reply = ask(server.port, get(b"/ws", good + key))
    assert reply.status == 101 and reply.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert ask(server.port, get(b"/ws")).status == 426
    reply = ask(server.port, get(b"/ws", good.replace(b"13", b"8") + key))
    assert reply.status == 426 and reply.headers["sec-websocket-version"] == "13"
    assert ask(server.port, get(b"/ws", good)).status == 400
    assert ask(server.port, get(b"/ws", good + b"Sec-WebSocket-Key: short\r\n")).status == 400
    assert ask(server.port, get(b"/ws?token=x", good + key)).status == 400
    frame_without_mask = b"\x81\x02hi"
    reply = ask(server.port, get(b"/ws", good + key) + frame_without_mask, 2)
    assert reply.status == 101 and reply.closed


# ---- CORS, metrics, health ----------------------------------------------------------------------------------------

def test_no_answer_is_open_to_other_origins_by_default(client):
    for answer in (client.get("/healthz"), client.get("/nowhere"), client.post("/execute", b"{")):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_every_answer_can_be_open_to_every_origin(start_evalx):
    client = start_evalx({"EVALX_CORS_ORIGIN": "*"}).client()
    for answer in (client.get("/healthz"), client.get("/nowhere"), client.post("/execute", b"{"),
                   client.get("/submissions/x"), client.get("/metrics")):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    preflight = client.request("OPTIONS", "/execute/batch", headers={
        "Origin": "https://example.org", "Access-Control-Request-Method": "POST"})
    assert preflight.status == 204 and preflight.body == b""
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in preflight.headers["Access-Control-Allow-Headers"]
    assert int(preflight.headers["Access-Control-Max-Age"]) > 0
    assert client.request("OPTIONS", "/nowhere").status == 404


def test_one_origin_only(start_evalx):
    picky = start_evalx({"EVALX_CORS_ORIGIN": "https://example.org"})
    answer = picky.client().get("/healthz")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert "Origin" in answer.headers["Vary"]


SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$')


def samples(client):
    found, typed = {}, set()
    answer = client.get("/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[2] not in typed, f"{line} twice"
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, line
            family = re.sub("_(bucket|sum|count)$", "", match[1])
            assert match[1] in typed or family in typed, line
            assert match[1] + (match[2] or "") not in found, f"{line} twice"
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


def test_metrics(client):
    client.run([dict(PYTHON, stdin="1")])
    before = samples(client)
    client.run([dict(PYTHON, stdin="2")])
    client.get("/no/such/path")
    client.request("BREW", "/coffee")
    after = samples(client)

    def grew(name, by=1):
        assert after[name] - before.get(name, 0) >= by, name

    grew('http_requests_total{method="POST",path="/execute/batch",status="200"}')
    grew('http_requests_total{method="GET",path="other",status="404"}')
    grew('http_requests_total{method="OTHER",path="other",status="404"}')
    grew('http_request_duration_seconds_count{method="POST",path="/execute/batch"}')
    grew('evalx_execution_time_seconds_count{language="python"}')
    grew('evalx_queue_wait_time_seconds_count{language="python"}')
    grew('evalx_verdicts_total{language="python",verdict="accepted"}')
    assert after['evalx_queue_depth_total{language="java"}'] == 0
    assert after['evalx_cache_hits_total{language="c"}'] == 0
    assert after["evalx_workers"] == 1 and after["evalx_slots"] == 2 and "evalx_slots_busy" in after
    assert after["process_open_fds"] > 5 and after["process_resident_memory_bytes"] > 1 << 20
    assert not any("no/such" in name or "/coffee" in name for name in after)


def test_the_depth_is_that_of_the_queue(start_evalx):
    server = start_evalx({"EVALX_SLOTS": "1"})
    client = server.client()
    tokens = [client.submit(SLEEPER, "/execute") for _ in range(6)]
    name = 'evalx_queue_depth_total{language="bash"}'
    harness.wait_until("the depth shows what waits", lambda: samples(client)[name] >= 3, step=0.3)
    assert samples(client)["evalx_jobs_running"] >= 1
    for token in tokens:
        client.request("DELETE", f"/submissions/{token}")
    harness.wait_until("the depth is zero again", lambda: samples(client)[name] == 0, step=0.3)


def test_a_submission_of_many_tests_counts_as_all_the_slots_it_fills(start_evalx):
    """Scaling relies on this: one submission runs, and the worker is full."""
    server = start_evalx({"EVALX_SLOTS": "3", "EVALX_LEASE_MS": "1000"})  # a heartbeat every third of a second
    client = server.client()
    token = client.submit([SLEEPER] * 8)
    harness.wait_until("all slots are busy", lambda: samples(client)["evalx_slots_busy"] > 2.9, step=0.3)
    assert samples(client)["evalx_jobs_running"] == 1
    assert 2.9 < client.get("/queue").json()["slots_busy"] <= 3
    worker, = client.get("/workers").json()
    assert (worker["slots"], worker["running"]) == (3, 1) and 2.9 < worker["slots_busy"] <= 3
    client.request("DELETE", f"/submissions/{token}")
    harness.wait_until("no slot is busy", lambda: samples(client)["evalx_slots_busy"] == 0, step=0.3)


def test_about_and_languages(client):
    about = client.get("/").json()
    assert about["name"] == "evalx" and about["links"]["languages"] == "/languages"
    languages = {language["id"]: language for language in client.get("/languages").json()}
    assert languages["python"]["available"] and "py" in languages["python"]["aliases"]
    assert set(languages["c"]) == {"id", "name", "version", "aliases", "versions", "standards", "of", "latest",
                                   "available", "images"}


def test_readiness_needs_a_store_and_a_worker(start_fleet):
    fleet = start_fleet(workers=1)
    client = fleet.client()
    assert client.get("/readyz").status == 200
    fleet.redis.kill9()
    begin = time.monotonic()
    answer = client.get("/readyz")
    assert answer.status in (200, 503)  # the metric may be a second old
    harness.wait_until("the store is missed", lambda: client.get("/readyz").status == 503, 20)
    assert "store" in client.get("/readyz").json()["error"]["message"]
    answer = client.post("/execute", PYTHON)
    assert answer.status == 503 and answer.headers["Retry-After"]
    assert client.get(f"/submissions/{UNKNOWN}?wait=20").status == 503
    assert client.get("/healthz").status == 200
    assert not any(name.startswith("evalx_queue_depth") for name in samples(client))
    assert time.monotonic() - begin < 40 * harness.SLOWNESS


# ---- the drain ----------------------------------------------------------------------------------------------------

def test_sigterm_answers_pending_requests(start_evalx):
    server = start_evalx()
    answers = {}

    def wait_for(name, method, path, body=None):
        client = server.client(60)
        answers[name] = client.request(method, path, body)

    token = server.client().submit(SLEEPER, "/execute")
    waits = [threading.Thread(target=wait_for, args=("poll", "GET", f"/submissions/{token}?wait=50")),
             threading.Thread(target=wait_for, args=("post", "POST", "/execute?wait=50", SLEEPER))]
    for thread in waits:
        thread.start()
    async def conversation():
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/ws?token={token}") as ws:
            await ws.recv()
            time.sleep(0.5)
            os.kill(server.pid, signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    await ws.recv()
            return closed.value.rcvd.code
    begin = time.monotonic()
    assert asyncio.run(conversation()) == 1001
    for thread in waits:
        thread.join(20)
    assert time.monotonic() - begin < 4 * harness.SLOWNESS, "waiting polls hold up the drain"
    assert answers["poll"].status == 200 and answers["poll"].json()["status"] in ("Queued", "Processing")
    assert answers["post"].status == 200 and answers["post"].json()["token"]
    assert answers["poll"].headers["Connection"].lower() == "close"
    assert server.wait(30) == 0


# ---- the documents ------------------------------------------------------------------------------------------------

def document(name):
    with open(os.path.join(harness.ROOT, "docs", "guide", name), encoding="utf-8") as file:
        return file.read()


def test_the_documents_describe_every_route_and_field(client):
    with open(os.path.join(harness.ROOT, "src", "api", "api.c"), encoding="utf-8") as file:
        routes = set(re.findall(r'\{ "([A-Z]+)", "[^"]+", "([^"]+)"', file.read()))
    assert len(routes) >= 11
    described = set()
    for line in document("openapi.yaml").split("components:\n")[0].splitlines():
        if re.match(r"  /", line):
            path = line.strip().rstrip(":")
        method = re.fullmatch(r"    (get|post|delete):", line)
        if method:
            described.add((method[1].upper(), path))
    assert described == routes
    manual = document("API.md")
    for _, path in routes:
        assert path in manual, path
    result = client.post("/execute?wait=20", dict(PYTHON, stdin="1", base64=True)).json()["results"][0]
    schema = document("openapi.yaml").split("\n    Result:\n")[1].split("\n    Language:\n")[0]
    for field in result:
        assert re.search(rf"\b{field}\b", manual), field
        assert re.search(rf"\n        {field}:", schema), field
    for name in samples(client):
        assert re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name) in manual, name
