"""Requests at the edges of HTTP: heads that hide something, half-closed clients, pages of other origins, and many
tokens."""
import hashlib
import json
import time

import pytest

import harness
from raw_http import HOST, Socket, ask, get, post
from test_clients import keys_file

BODY = b'{"language":"bash","version":"5","code":"echo hi"}'
SLOW = b'{"language":"bash","version":"5","code":"sleep 0.5; echo hi"}'
TOKEN = b"01ARZ3NDEKTSV4RRFFQ69G5FAV"
HANDSHAKE = (b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
PAGE = b"Origin: http://elsewhere.example\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server():
    with harness.shared_server() as process:
        yield process


@pytest.fixture(scope="module")
def keyed():
    """A server with the API key "secret"."""
    folder = harness.make_folder()
    path = keys_file(folder, ["alice:" + hashlib.sha256(b"secret").hexdigest()])
    with harness.shared_server({"EVALX_API_KEYS_FILE": path}, folder) as process:
        yield process


@pytest.fixture
def client(server):
    made = server.client()
    yield made
    made.close()


# ---- heads --------------------------------------------------------------------------------------------------------

HEADS = {
    "NUL in a value": (get(b"/healthz", b"X: a\0b\r\nY: c\r\n"), 400),
    "NUL in the last value": (get(b"/healthz", b"X: a\0b\r\n"), 400),
    "NUL in the target": (get(b"/healthz\0/x"), 400),
    "NUL in the query": (get(b"/healthz?a\0b"), 400),
    "folded line": (get(b"/healthz", b"X: a\r\n b\r\nY: c\r\n"), 400),
    "two keys": (post(b"/execute", BODY, b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n"), 400),
    "equal keys": (post(b"/execute", BODY, b"Idempotency-Key: a\r\nidempotency-key: a\r\n"), 400),
    "two API keys": (get(b"/healthz", b"X-Api-Key: a\r\nX-Api-Key: b\r\n"), 400),
    "two types": (post(b"/execute", BODY, JSON + JSON), 400),
    "gzip": (post(b"/execute", BODY, b"Content-Encoding: gzip\r\n"), 415),
    "br of chunks": (b"POST /execute HTTP/1.1\r\n" + HOST +
                     b"Transfer-Encoding: chunked\r\nContent-Encoding: br\r\n\r\n0\r\n\r\n", 415),
    "identity": (post(b"/execute", BODY, b"Content-Encoding: identity\r\n"), 200),
    "absolute target": (get(b"http://localhost/healthz"), 200),
    "absolute target with port and query": (get(b"HTTP://127.0.0.1:80/healthz?x=y"), 200),
    "absolute target without path": (get(b"http://localhost"), 200),
    "absolute target of another host": (get(b"http://elsewhere.example/healthz"), 421),
    "another host": (b"GET /healthz HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 421),
    "localhost as a prefix": (b"GET /healthz HTTP/1.1\r\nHost: localhost.elsewhere.example\r\n\r\n", 421),
    "IPv6 host": (b"GET /healthz HTTP/1.1\r\nHost: [::1]:3000\r\n\r\n", 200),
    "name below localhost": (b"GET /healthz HTTP/1.1\r\nHost: a.LOCALHOST.:1\r\n\r\n", 200),
    "HTTP/1.0 without host": (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
    "options of the server": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 204),
    "many headers": (get(b"/healthz", b"a: b\r\n" * 300), 200),
    "too many headers": (get(b"/healthz", b"a:b\r\n" * 3000), 431),
    "many parameters": (get(b"/healthz?" + b"a&" * 12000), 200),
    "a too long target": (get(b"/healthz?" + b"a" * 50000), 414),
}


@pytest.mark.parametrize("why", HEADS)
def test_a_head_is_served_or_refused_at_once(server, why):
    request, status = HEADS[why]
    assert ask(server.port, request).status == status


@pytest.mark.parametrize("header", [b"X-Api-Key: secret \r\n", b"X-Api-Key: \tsecret\t\r\n",
                                    b"Authorization:  Bearer  secret  \r\n"])
def test_a_blank_around_a_key_is_none_of_it(keyed, header):
    assert ask(keyed.port, get(b"/languages", header)).status == 200


# ---- clients that close their side --------------------------------------------------------------------------------

HALVES = {
    "health": (get(b"/healthz"), 1),
    "a read of the store": (get(b"/queue"), 1),
    "a submission": (post(b"/execute", BODY), 1),
    "a long poll": (post(b"/execute?wait=20", SLOW), 1),
    "a large body": (post(b"/execute?wait=20", b'{"language":"bash","version":"5","code":"cat","stdin":"%s"}' %
                          (b"x" * 300000)), 1),
    "pipelined": (get(b"/queue") + post(b"/execute?wait=20", SLOW) + get(b"/healthz"), 3),
}


@pytest.mark.parametrize("why", HALVES)
def test_a_client_that_has_closed_its_side_gets_its_answers(server, why):
    request, answers = HALVES[why]
    with Socket(server.port), Socket(server.port) as half:  # the other connection makes the server wait differently
        begin = time.monotonic()
        half.send(request)
        half.socket.shutdown(1)
        reply = half.read(20, 30)
        assert reply.raw.count(b"HTTP/1.1 200 OK") == answers
        assert reply.closed and time.monotonic() - begin < 15 * harness.SLOWNESS


# ---- pages of other origins ---------------------------------------------------------------------------------------

PAGES = {
    "text": (post(b"/execute", BODY, PAGE + b"Content-Type: text/plain\r\n"), 415),
    "no type": (post(b"/execute/batch", b"[%s]" % BODY, PAGE), 415),
    "a form": (post(b"/execute-parallel", BODY, PAGE + b"Content-Type: application/x-www-form-urlencoded\r\n"), 415),
    "a type that only begins so": (post(b"/execute", BODY, PAGE + b"Content-Type: application/jsonx\r\n"), 415),
    "JSON": (post(b"/execute", BODY, PAGE + b"Content-Type: Application/JSON; charset=utf-8\r\n"), 200),
    "origin null": (post(b"/execute", BODY, b"Origin: null\r\n"), 415),
    "a retry": (post(b"/dead/" + TOKEN + b"/retry", b"", PAGE), 415),
    "a retry as JSON": (post(b"/dead/" + TOKEN + b"/retry", b"", PAGE + JSON), 403),
    "dead letters": (get(b"/dead", PAGE), 403),
    "dead letters by a proxy": (get(b"/dead", b"X-Forwarded-For: 192.0.2.1\r\n"), 403),
    "dead letters by a proxy that only tells the address": (get(b"/dead", b"X-Real-IP: 192.0.2.1\r\n"), 403),
    "dead letters for itself": (get(b"/dead", b"Origin: http://localhost\r\n"), 200),
}


@pytest.mark.parametrize("why", PAGES)
def test_a_page_of_another_origin_cannot_submit_or_read(server, why):
    request, status = PAGES[why]
    assert ask(server.port, request).status == status


def test_with_keys_any_host_is_answered(keyed):
    """Who makes a name resolve to this machine does not know a key."""
    assert ask(keyed.port, b"GET /healthz HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n").status == 200


def test_a_named_host_is_answered_on_loopback(start_evalx):
    named = start_evalx({"EVALX_HOST_NAMES": "evalx.example, other.example"})
    for host, status in (("evalx.example", 200), ("OTHER.example:3000", 200), ("third.example", 421)):
        assert ask(named.port, b"GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode()).status == status


# ---- answers ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/execute", "/execute?wait=0.0047", "/execute?wait=20.000000001", "/execute/batch",
                                  "/execute/batch?wait=20", "/execute-parallel"])
def test_every_post_names_its_submission_and_tells_of_a_repetition(client, path):
    job = json.loads(BODY)
    body = job if path.startswith("/execute?") or path == "/execute" else [job]
    headers = {"Idempotency-Key": f"edges {path}"}
    first, second = client.post(path, body, headers), client.post(path, body, headers)
    assert (first.status, second.status) == (200, 200)
    assert first.headers["Location"] == second.headers["Location"]
    assert client.get(first.headers["Location"]).status == 200
    assert (first.headers["Idempotent-Replayed"], second.headers["Idempotent-Replayed"]) == (None, "true")


def test_pages_may_read_what_the_answers_tell(start_evalx):
    open_to_all = start_evalx({"EVALX_CORS_ORIGIN": "*"}).client()
    for answer in (open_to_all.post("/execute", json.loads(BODY)), open_to_all.post("/execute", b"{"),
                   open_to_all.get("/submissions/x"), open_to_all.get("/nowhere")):
        for name in ("Location", "Retry-After", "Idempotent-Replayed"):
            assert name in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("limits, named", [({"cpu_time": 1}, "cpu_time"), ({"Processes": 1}, "Processes"),
                                           ({"processes": 1, "": 1}, "")])
def test_a_misspelt_limit_is_named(client, limits, named):
    for body in (dict(json.loads(BODY), limits=limits), dict(json.loads(BODY), tests=[{"limits": limits}])):
        answer = client.post("/execute", body)
        assert answer.status == 400 and f'"{named}"' in answer.json()["error"]["message"], answer.text
        assert answer.json()["error"]["field"].endswith("limits")


# ---- tokens in the URL of a WebSocket -----------------------------------------------------------------------------

@pytest.mark.parametrize("count, separator, status", [(250, b"&token=", 101), (950, b"&token=", 101),
                                                      (1000, b",", 101), (1001, b",", 400), (2000, b"&token=", 414)])
def test_a_websocket_of_many_tokens(server, count, separator, status):
    reply = ask(server.port, get(b"/ws?token=" + separator.join([TOKEN] * count), HANDSHAKE))
    assert reply.status == status


# ---- connections --------------------------------------------------------------------------------------------------

def test_idle_connections_lock_nobody_out(start_evalx):
    small = start_evalx({"EVALX_CONNECTIONS_MAX": "100", "EVALX_CONNECTIONS_PER_IP": "100"})
    idle = [Socket(small.port) for _ in range(150)]
    try:
        for one in idle[:50]:
            one.send(get(b"/healthz"))
        harness.wait_until("somebody else is served", lambda: ask(small.port, get(b"/healthz")).status == 200, 20)
    finally:
        for one in idle:
            one.socket.close()


def test_one_address_does_not_get_all_connections(start_evalx):
    small = start_evalx({"EVALX_CONNECTIONS_MAX": "100"})
    held = [Socket(small.port) for _ in range(100)]
    try:
        closed = harness.wait_until("connections above the share are closed",
                                    lambda: sum(one.read(0.01).closed for one in held) >= 25, 20)
        assert closed
    finally:
        for one in held:
            one.socket.close()
