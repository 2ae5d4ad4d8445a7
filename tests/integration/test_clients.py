"""API keys, Idempotency-Key, limits of clients and fairness between them, dead letters, /queue and /workers.  Two API
servers share a Redis; workers exist only in tests that run something."""
import hashlib
import json
import os
import subprocess
import threading

import pytest

import harness

JOB = {"language": "bash", "version": "5", "code": "echo done"}
KEYS = {"alice": "alice's key 4711", "bob": "bob-secret", "operator": "the operator's"}


def bearer(name):
    return {"Authorization": f"Bearer {KEYS[name]}"}


def keys_file(folder, lines=None, mode=0o600):
    path = os.path.join(folder, "keys")
    if lines is None:
        limits = {"alice": ":3:1"}
        lines = ["# who may use this", "", *(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}{limits.get(name, '')}"
                                            for name, key in KEYS.items())]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.chmod(path, mode)
    return path


@pytest.fixture
def start_api(folder, leave_nothing):
    """start_api(env={}): starts an API server; all servers of one test share a Redis."""
    redis = []

    def start(env=None, role="server", ready="/healthz"):
        if not redis:
            redis.append(leave_nothing(harness.Redis(folder)).start())
            redis[0].count = 0
        redis[0].count += 1
        settings = {**redis[0].settings(), "EVALX_LEASE_MS": "1000", **(env or {})}
        process = leave_nothing(harness.Evalx(f"{role}{redis[0].count}", [role], folder, settings))
        process.start()
        return process.wait_ready(ready)

    return start


def code_of(answer):
    return answer.status, answer.json()["error"]["code"]


# ---- Idempotency-Key ----

def test_the_same_key_and_body_is_the_same_submission(start_api):
    first, second = start_api().client(), start_api().client()
    key = {"Idempotency-Key": "order 4711"}
    answers = [first.post("/execute", JOB, key), second.post("/execute", JOB, key),
               first.post("/execute", JOB, key)]
    assert [answer.status for answer in answers] == [200] * 3
    assert len({answer.json()["token"] for answer in answers}) == 1
    assert [answer.headers["Idempotent-Replayed"] for answer in answers] == [None, "true", "true"]
    assert answers[1].headers["Location"] == answers[0].headers["Location"]
    refused = second.post("/execute", dict(JOB, code="echo other"), key)
    assert code_of(refused) == (409, "idempotency_conflict")
    assert refused.json()["error"]["field"] == "Idempotency-Key"
    assert code_of(first.post("/execute/batch", [JOB], key)) == (409, "idempotency_conflict")
    assert first.post("/execute", JOB).json()["token"] != answers[0].json()["token"]
    assert first.get("/queue").json()["waiting"] == 2


def test_a_key_is_printable_and_not_too_long(start_api):
    client = start_api().client()
    for key, status in (("k", 200), ("k" * 255, 200), ("k" * 256, 400), ("", 400), ("k\u00e9", 400), ("a\tb", 400)):
        answer = client.post("/execute", JOB, {"Idempotency-Key": key})
        assert answer.status == status, key
        if status == 400:
            assert answer.json()["error"]["field"] == "Idempotency-Key"


def test_at_the_same_time_through_two_servers_it_is_added_once(start_api):
    servers = [start_api(), start_api()]
    for round_ in range(5):
        tokens = []

        def send(index):
            client = servers[index % 2].client()
            tokens.append(client.post("/execute", JOB, {"Idempotency-Key": f"round-{round_}"}).json()["token"])

        threads = [threading.Thread(target=send, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(tokens) == 8 and len(set(tokens)) == 1
    assert servers[0].client().get("/queue").json()["waiting"] == 5


def test_a_repeat_that_waits_gets_the_results_of_the_first(start_api):
    client = start_api().client()
    start_api(role="worker")
    key = {"Idempotency-Key": "wait"}
    first = client.post("/execute?wait=20", JOB, key)
    again = client.post("/execute?wait=20", JOB, key)
    assert first.status == again.status == 200
    assert first.json() == again.json() and first.json()["results"][0]["stdout"] == "done\n"
    key = {"Idempotency-Key": "parallel"}
    first, again = (client.post("/execute-parallel", [JOB], key) for _ in range(2))
    assert first.status == again.status == 200 and first.json() == again.json()


# ---- API keys ----

def test_without_a_key_only_health_and_metrics_answer(start_api, folder):
    server = start_api({"EVALX_API_KEYS_FILE": keys_file(folder), "EVALX_LOG": "debug"})
    client = server.client()
    for path in ("/healthz", "/metrics"):
        assert client.get(path).status == 200
    assert client.get("/readyz").status == 503  # no worker, but no 401
    unknown = "/submissions/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for method, path in (("GET", "/"), ("GET", unknown), ("DELETE", unknown), ("GET", "/queue"), ("GET", "/workers"),
                         ("GET", "/dead"), ("GET", "/languages"), ("GET", "/ws"), ("POST", "/execute")):
        body = JOB if method == "POST" else None
        for headers in ({}, {"Authorization": "Bearer wrong-guess"}, {"X-Api-Key": ""}, {"Authorization": "Basic x"}):
            refused = client.request(method, path, body, headers)
            assert code_of(refused) == (401, "unauthorized"), (path, headers)
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert client.request("OPTIONS", "/execute").status == 204
    for headers in (bearer("alice"), {"X-Api-Key": KEYS["alice"]}, {"Authorization": f"bearer {KEYS['alice']}"}):
        assert client.get("/languages", headers).status == 200
        assert client.get(unknown, headers).status == 404
    log = server.log()
    assert "wrong-guess" not in log and not any(key in log for key in KEYS.values())


def test_limits_and_idempotency_keys_are_per_client(start_api, folder):
    client = start_api({"EVALX_API_KEYS_FILE": keys_file(folder)}).client()
    key = {"Idempotency-Key": "same"}
    tokens = [client.post("/execute", JOB, {**bearer(name), **key}).json()["token"] for name in ("alice", "bob")]
    assert tokens[0] != tokens[1]
    for _ in range(2):
        assert client.post("/execute", JOB, bearer("alice")).status == 200
    refused = client.post("/execute", JOB, bearer("alice"))
    assert code_of(refused) == (429, "client_queue_full")
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.post("/execute", JOB, {**bearer("alice"), **key}).json()["token"] == tokens[0]  # it already exists
    assert client.post("/execute", JOB, bearer("bob")).status == 200
    client.request("DELETE", f"/submissions/{tokens[0]}", headers=bearer("alice"))
    assert client.post("/execute", JOB, bearer("alice")).status == 200


def shared_keys(folder):
    """Four clients: alice and bob keep to themselves, carol and dave share their caches.  Alice has two keys."""
    names = [("alice", ""), ("bob", ""), ("carol", ":::share_cache"), ("dave", ":::share_cache")]
    keys = {name: {"Authorization": f"Bearer key of {name}"} for name, _ in names}
    keys["alice again"] = {"Authorization": "Bearer second key of alice"}
    lines = [f"{name}:{hashlib.sha256(f'key of {name}'.encode()).hexdigest()}{rest}" for name, rest in names]
    lines.append("alice:" + hashlib.sha256(b"second key of alice").hexdigest())
    return keys_file(folder, lines), keys


def cached(client, headers, job):
    """Runs the job.  Returns whether the compiler's product, and the result of the run, came from a cache."""
    answer = client.post("/execute?wait=20", job, headers)
    assert answer.status == 200, answer.text
    result = harness.wait_until("it has ended", lambda: client.get(
        f"/submissions/{answer.json()['token']}", headers).json().get("results"))[0]
    assert result["stdout"] == "42", result
    return result["compile_cached"], result["result_cached"]


@pytest.mark.parametrize("order", [["alice", "bob", "carol"], ["carol", "bob", "alice"]], ids=["own", "shared"])
def test_caches_are_shared_only_where_both_clients_allow_it(start_api, folder, order):
    path, keys = shared_keys(folder)
    client = start_api({"EVALX_API_KEYS_FILE": path, "EVALX_SHARE_BYTES": "16m"}).client()
    start_api({"EVALX_SHARE_BYTES": "16m"}, role="worker")
    job = {"language": "c", "version": "*", "cache": True,
           "code": '#include <stdio.h>\nint main(void) { printf("42"); }'}
    for name in order:
        assert cached(client, keys[name], job) == (False, False), f"{name} learns what others have sent"
    assert cached(client, keys["alice again"], job) == (True, True)
    assert cached(client, keys["dave"], job) == (True, True)


def test_a_client_with_a_running_limit_gets_everything_run(start_api, folder):
    client = start_api({"EVALX_API_KEYS_FILE": keys_file(folder)}).client()
    tokens = [client.post("/execute", JOB, bearer("alice")).json()["token"] for _ in range(3)]
    start_api(role="worker")
    for token in tokens:
        found = client.get(f"/submissions/{token}?wait=20", bearer("alice")).json()
        assert found["results"][0]["stdout"] == "done\n", found
    assert client.get("/queue", bearer("bob")).json()["running"] == 0


@pytest.mark.parametrize("lines, mode, expected", [
    (["alice:beef"], 0o600, "keys:1"),
    (["", "Alice:" + "0" * 64], 0o600, "keys:2"),
    (["alice:" + "0" * 64 + ":many"], 0o600, "limit"),
    (["alice:" + "0" * 64, "bob:" + "0" * 64], 0o600, "already"),
    (["# nobody"], 0o600, "no keys"),
    (["alice:" + "0" * 64 + ":::sharing"], 0o600, "share_cache"),
    (["alice:" + "0" * 64, "alice:" + "1" * 64 + ":::share_cache"], 0o600, "keys:2"),
    (["alice:" + "0" * 64], 0o640, "chmod 600"),
])
def test_an_invalid_key_file_is_refused_at_start(evalx_binary, folder, lines, mode, expected):
    path = keys_file(folder, lines, mode)
    redis = harness.Redis(folder).start()
    try:
        env = {**{name: value for name, value in os.environ.items() if not name.startswith(("EVALX_", "REDIS_"))},
               **redis.settings(), "EVALX_API_KEYS_FILE": path, "EVALX_LISTEN": "127.0.0.1:0",
               "EVALX_LANGUAGES": os.path.join(harness.ROOT, "languages")}
        done = subprocess.run([evalx_binary, "server"], env=env, capture_output=True, timeout=30, check=False)
        assert done.returncode == 1
        assert expected in done.stderr.decode() and "beef" not in done.stderr.decode()
    finally:
        redis.stop()


# ---- operators ----

def test_queue_and_workers_show_the_contents_of_the_store(start_api, evalx_binary):
    server = start_api()
    client = server.client()
    assert client.get("/workers").json() == []
    client.post("/execute", JOB)
    client.post("/execute", dict(JOB, priority="high"))
    client.post("/execute", dict(JOB, language="python", version="3", code="print(1)", priority="low"))
    queue = client.get("/queue").json()
    assert (queue["waiting"], queue["running"], queue["workers"]) == (3, 0, 0)
    lanes = {lane.pop("language"): lane for lane in queue["languages"]}
    assert lanes["bash"] == {"waiting": 2, "running": 0, "high": 1, "normal": 1, "low": 0}
    assert lanes["python"] == {"waiting": 1, "running": 0, "high": 0, "normal": 0, "low": 1}
    start_api(role="worker")
    workers = harness.wait_until("the worker is listed", lambda: client.get("/workers").json())
    assert len(workers) == 1 and workers[0]["slots"] == 2 and workers[0]["heartbeat_seconds_ago"] < 1.5
    done = subprocess.run([evalx_binary, "queue", "--json", "--server", server.url], capture_output=True, timeout=30,
                          check=True)
    shown = json.loads(done.stdout)
    assert shown["workers"][0]["name"] == workers[0]["name"] and "waiting" in shown["queue"]
    done = subprocess.run([evalx_binary, "queue", "--server", server.url], capture_output=True, timeout=30, check=True)
    assert workers[0]["name"] in done.stdout.decode()


def test_a_dead_letter_is_listed_shown_and_retried(start_api, folder, evalx_binary):
    server = start_api({"EVALX_ATTEMPTS_MAX": "1", "EVALX_API_KEYS_FILE": keys_file(folder)})
    client, operator = server.client(), bearer("operator")
    sleeper = {"language": "bash", "version": "5", "code": "sleep 4; echo woken", "timeout": 10}
    token = client.post("/execute", sleeper, bearer("bob")).json()["token"]
    worker = start_api({"EVALX_ATTEMPTS_MAX": "1"}, role="worker")
    where = f"/submissions/{token}"
    harness.wait_until("it runs", lambda: client.get(where, bearer("bob")).json()["status"] == "Processing")
    worker.kill9()
    failed = client.get(f"{where}?wait=20", bearer("bob")).json()
    assert failed["status"] == "Failed" and "given up" in failed["error"]

    for name in ("alice", "bob"):
        for method, path in (("GET", "/dead"), ("GET", f"/dead/{token}"), ("POST", f"/dead/{token}/retry")):
            assert code_of(client.request(method, path, headers=bearer(name))) == (403, "forbidden")
    listed = client.get("/dead", operator).json()
    assert [entry["token"] for entry in listed["dead"]] == [token] and listed["next"] is None
    assert client.get("/dead?limit=0", operator).status == client.get("/dead?before=x", operator).status == 400
    page = client.get("/dead?limit=1", operator).json()
    assert client.get(f"/dead?limit=1&before={page['next']}", operator).json() == {"dead": [], "next": None}
    shown = client.get(f"/dead/{token}", operator).json()
    assert shown["client"] == "bob" and shown["attempts"] == 1
    assert "sleep 4" in json.dumps(shown["submission"])
    assert client.get("/dead/01ARZ3NDEKTSV4RRFFQ69G5FA0", operator).status == 404
    assert client.post("/dead/01ARZ3NDEKTSV4RRFFQ69G5FA0/retry", None, operator).status == 404

    def evalx(*words):
        env = {**os.environ, "EVALX_API_KEY": KEYS["operator"], "EVALX_SERVER": server.url}
        return subprocess.run([evalx_binary, *words], env=env, capture_output=True, timeout=30, check=False)

    assert token in evalx("dead", "list").stdout.decode()
    assert json.loads(evalx("dead", "list", "--json").stdout)["token"] == token
    assert "sleep 4" in evalx("dead", "show", token).stdout.decode()
    for _ in range(2):  # repeating it changes nothing
        done = evalx("dead", "retry", token)
        assert done.returncode == 0 and token in done.stdout.decode(), done.stderr
    assert evalx("dead", "retry", "01ARZ3NDEKTSV4RRFFQ69G5FA0").returncode == 1
    assert client.get("/dead", operator).json()["dead"] == []
    assert client.get("/queue", operator).json()["waiting"] == 1
    start_api(role="worker")
    found = client.get(f"{where}?wait=30", bearer("bob")).json()
    assert found["results"][0]["stdout"] == "woken\n", found
    assert client.request("POST", f"/dead/{token}/retry", headers=operator).json()["status"] == "Completed"


def test_without_keys_dead_letters_are_local_only(start_api):
    client = start_api().client()  # over loopback
    assert client.get("/dead").json() == {"dead": [], "next": None}
