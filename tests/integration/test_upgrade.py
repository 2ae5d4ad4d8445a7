"""Upgrades: stores that version 0.2 left behind, and a fleet of two versions.

tests/fixtures/make_store.py made the stores with the binary of that release, which was killed each time: one submission
had finished, one was a dead letter, one was running, and three waited.
"""
import json
import os
import subprocess
import time

import pytest

import harness

FIXTURES = os.path.join(harness.ROOT, "tests", "fixtures", "store-0.2")
PREVIOUS = os.environ.get("EVALX_PREVIOUS", "")
TIMES = {"created", "queued", "started", "finished", "died"}  # fields of hashes


def expect_everything_once(client, tokens):
    """What was accepted ends with its result; what had ended keeps it; the dead letter can be retried."""
    for name, token in tokens.items():
        if name != "dead":
            answer = client.poll(token)
            assert answer["status"] == "Completed", (name, answer)
            assert [one["stdout"].strip() for one in answer["results"]] == [name]
    dead = client.get(f"/submissions/{tokens['dead']}").json()
    assert dead["status"] == "Failed" and "given up" in dead["error"], dead
    assert [one["token"] for one in client.get("/dead").json()["dead"]] == [tokens["dead"]]
    assert client.request("POST", f"/dead/{tokens['dead']}/retry").status in (200, 202)
    assert client.poll(tokens["dead"])["results"][0]["stdout"] == "dead\n"
    queue = client.get("/queue").json()
    assert (queue["waiting"], queue["running"], queue["dead"]) == (0, 0, 0)
    assert queue["queue_bytes"] == 0 and queue["results_bytes"] > 0


def load_sqlite(server):
    """Makes the file as it was, with times as if it had been now.  Returns its tokens."""
    server.start()
    server.wait_ready()
    server.stop()  # its folder belongs to its user now
    file_path = os.path.join(server.data, "evalx.db")
    os.remove(file_path)
    with open(os.path.join(FIXTURES, "sqlite.sql"), encoding="utf-8") as file:
        sql = file.read()
    now = int(time.time() * 1000)
    shift = (f"UPDATE submission SET created = {now}, queued = {now}, started = min(started, 1) * {now},"
             f" finished = min(finished, 1) * {now}; UPDATE dead SET created = {now}, died = {now};")
    subprocess.run(["sqlite3", file_path], input=sql + shift, text=True, check=True)
    owner = os.stat(server.data)
    os.chown(file_path, owner.st_uid, owner.st_gid)
    return json.loads(sql.splitlines()[0].removeprefix("-- "))


def shifted(key, kind, value, by):
    """The value of a key with all of its times moved."""
    if kind == "hash":
        return {field: str(int(text) + by) if field in TIMES and text != "0" else text for field, text in value.items()}
    if kind == "zset" and key.split("}:")[1] in ("dead", "leases", "workers"):
        return [[member, float(score) + by] for member, score in pairs(value)]
    return value


def pairs(value):
    """redis-cli --json writes members and scores as pairs or as one list."""
    return value if not value or isinstance(value[0], list) else list(zip(value[::2], value[1::2]))


def load_redis(redis):
    with open(os.path.join(FIXTURES, "redis.json"), encoding="utf-8") as file:
        stored = json.load(file)
    by = int(time.time() * 1000) - stored["now"]
    for key, (kind, value) in stored["keys"].items():
        value = shifted(key, kind, value, by)
        if kind == "string":
            answer = redis.call("SET", key, value)
        elif kind == "hash":
            answer = redis.call("HSET", key, *[word for item in value.items() for word in item])
        elif kind == "list":
            answer = redis.call("RPUSH", key, *value)
        else:
            answer = redis.call("ZADD", key, *[word for member, score in pairs(value) for word in (score, member)])
        assert not answer.startswith(b"-"), (key, answer)
        state = value.get("state") if kind == "hash" and ":sub:" in key else None
        if state in ("2", "3"):
            for name in (key, key.replace(":sub:", ":out:")):
                redis.call("PEXPIRE", name, 3600000)
    return stored["tokens"]


@pytest.fixture
def needs_sqlite3():
    if subprocess.run(["which", "sqlite3"], capture_output=True, check=False).returncode != 0:
        pytest.skip("sqlite3 is not installed")


def test_a_sqlite_store_of_the_previous_release_is_continued(folder, leave_nothing, needs_sqlite3):
    server = leave_nothing(harness.Evalx("upgraded", [], folder))
    tokens = load_sqlite(server)
    server.start()
    expect_everything_once(server.wait_ready().client(), tokens)
    server.restart()
    assert server.client().get(f"/submissions/{tokens['finished']}").json()["status"] == "Completed"


def test_a_newer_sqlite_store_is_refused_by_name(folder, leave_nothing, needs_sqlite3):
    server = leave_nothing(harness.Evalx("older", [], folder))
    load_sqlite(server)
    subprocess.run(["sqlite3", os.path.join(server.data, "evalx.db"), "PRAGMA user_version=99"], check=True)
    server.start()
    assert server.wait() != 0
    assert "was written by a newer evalx (schema 99" in server.log()


def test_a_redis_store_of_the_previous_release_is_continued(start_fleet):
    tokens = {}
    fleet = start_fleet(workers=1, env={"EVALX_LEASE_MS": "1000"},
                        prepare=lambda redis: (redis.start(), tokens.update(load_redis(redis)), redis.stop()))
    expect_everything_once(fleet.client(), tokens)


# ---- two versions at the same time -----------------------------------------------------------------------------------

def program(word):
    return [{"language": "bash", "version": "*", "code": f"echo {word}"}]


@pytest.fixture
def mixed(folder, leave_nothing):
    """start(api=BINARY, workers=[BINARY...]) on one Redis; returns the client and the workers."""
    if not PREVIOUS:
        pytest.skip("EVALX_PREVIOUS names no binary of the previous release")
    redis = leave_nothing(harness.Redis(folder)).start()

    def start(name, binary, role):
        env = {**redis.settings(), "EVALX_LEASE_MS": "2000", "EVALX_UNSERVED_SECONDS": "1"}
        if binary == PREVIOUS:
            del env["EVALX_UNSERVED_SECONDS"]
            env["EVALX_LANGUAGES"] = os.environ.get("EVALX_PREVIOUS_LANGUAGES", os.path.join(harness.ROOT, "languages"))
        process = leave_nothing(harness.Evalx(name, [role], folder, env))
        process.command[0] = binary
        process.start()
        return process.wait_ready("/healthz")

    return start


@pytest.mark.parametrize("api, worker", [("new", "old"), ("old", "new"), ("new", "both")])
def test_two_versions_share_the_queue(mixed, api, worker):
    binaries = {"new": harness.BINARY, "old": PREVIOUS}
    server = mixed("api", binaries[api], "server")
    for name in ("new", "old") if worker == "both" else (worker,):
        mixed(f"worker-{name}", binaries[name], "worker")
    client = server.wait_ready().client()
    tokens = {f"word{i}": client.post("/execute/batch", program(f"word{i}")).json()["token"] for i in range(20)}
    for word, token in tokens.items():
        answer = client.poll(token)
        assert answer["status"] == "Completed" and answer["results"][0]["stdout"] == word + "\n", answer
    assert client.get("/queue").json()["running"] == 0


def test_an_older_worker_never_gets_what_it_would_run_wrongly(mixed):
    """A shared input of 4 KiB is stored in a form that only new workers read."""
    server = mixed("api", harness.BINARY, "server")
    mixed("worker-old", PREVIOUS, "worker")
    client = server.wait_ready().client()
    text = "x" * 4096
    batch = [{"language": "bash", "version": "*", "code": "wc -c", "stdin": text, "tests": [{}, {}]}]
    token = client.submit(batch)  # an old worker is alive, which may serve any language
    assert client.poll(client.submit(program("plain")))["status"] == "Completed"
    assert client.get(f"/submissions/{token}").json()["status"] == "Queued"
    mixed("worker-new", harness.BINARY, "worker")
    answer = client.poll(token)
    assert [one["stdout"].strip() for one in answer["results"]] == ["4096", "4096"], answer
