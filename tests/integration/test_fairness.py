"""Turns between clients, submissions and priorities in a worker's slots; equal compiles; artifacts and their budgets.

The language "toy" runs the source as a shell script when it compiles; the script leaves a script called main."""
import concurrent.futures
import hashlib
import os
import shutil
import time

import pytest

import harness

CLIENTS = ("alice", "bob", "carol")
TOY = """[language]
id = toy
name = Toy
version = 1
image = host
source = make.sh
binary = main
compile = /usr/bin/bash {source}
run = /usr/bin/bash /box/{binary}
needs = /usr/bin/bash
[hello]
code = |echo echo Hello, evalx > main
"""


def key(name):
    return {"Authorization": f"Bearer {name}'s key"}


@pytest.fixture
def start_fair(start_evalx, folder):
    """start_fair(env={}): a server with two slots, API keys of three clients, and the language toy."""
    path = os.path.join(folder, "keys")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{name}:{hashlib.sha256((name + chr(39) + 's key').encode()).hexdigest()}\n"
                        for name in CLIENTS)
    os.chmod(path, 0o600)
    languages = os.path.join(folder, "languages")
    os.mkdir(languages, 0o755)
    for name in ("defaults.conf", "bash.conf"):
        shutil.copy(os.path.join(harness.ROOT, "languages", name), languages)
    with open(os.path.join(languages, "toy.conf"), "w", encoding="utf-8") as file:
        file.write(TOY)

    def start(env=None):
        return start_evalx({"EVALX_API_KEYS_FILE": path, "EVALX_LANGUAGES": languages, **(env or {})})

    return start


def toy(script, **more):
    return {"language": "toy", "version": "1", "code": script, **more}


def sleeper(tests, seconds, priority="normal"):
    return [{"language": "bash", "version": "5", "code": f"sleep {seconds}", "priority": priority,
             "tests": [{"stdin": str(i)} for i in range(tests)]}]


def submit(server, name, batch):
    answer = server.client().post("/execute/batch", batch, key(name))
    assert answer.status in (200, 202), answer.text
    return answer.json()["token"]


def result_of(server, name, token):
    found = server.client(60).get(f"/submissions/{token}?wait=30", key(name)).json()
    assert found["status"] == "Completed", found
    return found["results"]


def status_of(server, name, token):
    return server.client().get(f"/submissions/{token}", key(name)).json()["status"]


def wait_started(server, name, token):
    harness.wait_until("it has started", lambda: status_of(server, name, token) == "Processing")


# ---- turns ----

@pytest.mark.parametrize("name, priority", [("bob", "high"), ("bob", "low"), ("alice", "normal")])
def test_a_long_submission_does_not_hold_up_others(start_fair, name, priority):
    server = start_fair()
    long = submit(server, "alice", sleeper(20, 0.2))
    wait_started(server, "alice", long)
    begun = time.monotonic()
    result_of(server, name, submit(server, name, sleeper(1, 0, priority)))
    waited = time.monotonic() - begun
    assert status_of(server, "alice", long) == "Processing"
    result_of(server, "alice", long)
    assert waited < (time.monotonic() - begun) * 0.7  # before, it had to wait for all but the last two tests


def test_many_long_submissions_do_not_hold_up_another_client(start_fair):
    server = start_fair()
    longs = [submit(server, "alice", sleeper(6, 0.1, priority)) for priority in ["normal", "high"] * 5]
    wait_started(server, "alice", longs[0])
    for name, priority in (("bob", "normal"), ("carol", "high")):
        result_of(server, name, submit(server, name, sleeper(1, 0, priority)))
    unfinished = sum(status_of(server, "alice", token) in ("Queued", "Processing") for token in longs)
    assert unfinished >= 6
    for token in longs:
        assert all(result["status"] == "accepted" for result in result_of(server, "alice", token))


def test_the_worker_holds_a_bounded_number_of_submissions(start_fair):
    server = start_fair()
    tokens = [submit(server, "alice", sleeper(3, 0.1)) for _ in range(16)]
    most = 0
    while status_of(server, "alice", tokens[8]) != "Completed":
        states = [status_of(server, "alice", token) for token in tokens]
        most = max(most, states.count("Processing"))
        time.sleep(0.02)
    assert 2 <= most <= 6
    server.stop()  # what has not started is queued again, what has is finished
    server.start()
    server.wait_ready()
    for token in tokens:
        result_of(server, "alice", token)


# ---- equal compiles ----

def at_the_same_time(server, jobs):
    """Runs the jobs of (client, batch).  Returns their results and the seconds until the last one ended."""
    begun = time.monotonic()
    tokens = [(name, submit(server, name, [job])) for name, job in jobs]
    with concurrent.futures.ThreadPoolExecutor(len(tokens)) as pool:
        results = list(pool.map(lambda one: result_of(server, *one)[0], tokens))
    return results, time.monotonic() - begun


@pytest.mark.parametrize("end, verdict", [("echo broken >&2; exit 1", "compile_error"), ("kill -9 $$", "compile_error"),
                                          ("echo echo 42 > main", "accepted")])
def test_equal_compiles_share_one_outcome(start_fair, end, verdict):
    server = start_fair()
    script = f"sleep 0.7; {end}"
    _, one_s = at_the_same_time(server, [("bob", toy(script))])
    results, all_s = at_the_same_time(server, [("alice", toy(script))] * 8)
    assert [result["status"] for result in results] == [verdict] * 8
    assert sum(result["compile_cached"] for result in results) == 7
    assert len({result["stderr"] for result in results}) == 1
    assert all_s < 3 * one_s  # before: eight compiles one after the other if they fail


def test_who_waits_for_a_compile_needs_no_slot(start_fair):
    server = start_fair()
    waiting = [submit(server, "alice", [toy("sleep 2; exit 1")]) for _ in range(6)]
    wait_started(server, "alice", waiting[0])
    result_of(server, "alice", submit(server, "alice", sleeper(1, 0)))
    assert "Completed" not in [status_of(server, "alice", token) for token in waiting]
    for token in waiting:
        assert result_of(server, "alice", token)[0]["status"] == "compile_error"


def test_a_cancelled_compile_is_done_by_one_that_waits(start_fair):
    server = start_fair()
    first = submit(server, "alice", [toy("sleep 1; echo echo 42 > main")])
    wait_started(server, "alice", first)
    others = [submit(server, "alice", [toy("sleep 1; echo echo 42 > main")]) for _ in range(3)]
    cancelled = server.client().request("DELETE", f"/submissions/{first}", headers=key("alice"))
    assert cancelled.status in (200, 204), cancelled.text
    assert [result_of(server, "alice", token)[0]["stdout"] for token in others] == ["42\n"] * 3


# ---- artifacts ----

PROGRAM = "echo 'echo ok' > main; "


def mib(number, i=0):
    """A program whose compiled files take so many MiB.  Programs with another i are not equal."""
    return toy(f"{PROGRAM} head -c {number}M /dev/zero > data; : {i}")


def values(server):
    lines = server.client().get("/metrics").text.splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if line and line[0] != "#"}


def test_an_artifact_has_a_ceiling(start_fair):
    server = start_fair({"EVALX_ARTIFACT_BYTES": "4m"})
    batch = [mib(3), mib(5), toy(PROGRAM + "truncate -s 99M hole")]
    results = result_of(server, "alice", submit(server, "alice", batch))
    assert [result["status"] for result in results] == ["accepted", "compile_error", "accepted"]
    assert "4 MiB" in results[1]["message"]


def test_the_programs_of_a_submission_have_a_budget(start_fair):
    server = start_fair({"EVALX_SUBMISSION_ARTIFACT_BYTES": "8m"})
    results = result_of(server, "alice", submit(server, "alice", [mib(3, i) for i in range(5)]))
    assert sorted(result["status"] for result in results) == ["accepted"] * 2 + ["compile_error"] * 3
    assert all("8 MiB" in result["message"] for result in results if result["status"] == "compile_error")
    results = result_of(server, "alice", submit(server, "alice", [mib(3, i) for i in range(2)]))
    assert [result["status"] for result in results] == ["accepted"] * 2


def test_what_does_not_fit_into_memory_is_on_the_disk(start_fair):
    server = start_fair({"EVALX_ARTIFACT_MEMORY_BYTES": "5m"})
    batch = [dict(mib(3, i), tests=[{"stdin": ""}] * 3) for i in range(6)]
    most = {"evalx_artifact_memory_bytes": 0, "evalx_artifact_disk_bytes": 0}
    token = submit(server, "alice", batch)
    while status_of(server, "alice", token) != "Completed":
        found = values(server)
        most = {name: max(most[name], found[name]) for name in most}
    assert [result["status"] for result in result_of(server, "alice", token)] == ["accepted"] * 18
    assert 0 < most["evalx_artifact_memory_bytes"] <= 5 << 20
    assert most["evalx_artifact_disk_bytes"] >= 3 << 20
    harness.wait_until("nothing is held", lambda: not any(values(server)[name] for name in most))
    assert not [name for name in os.listdir(server.data) if name.startswith(".artifact")]


@pytest.mark.parametrize("files", [
    "printf %6000s > a0; for i in {1..1100}; do ln a0 a$i; done",  # more pages unpacked than in the box
    "printf x > a0; for i in {1..150}; do ln a0 a$i; done; mkdir -p {1..4090}/b",  # more inodes
    "for i in {1..4100}; do : > $i; done", "printf x > $(printf %0201d 0)"])
def test_what_cannot_be_kept_does_not_compile(start_fair, files):
    server = start_fair({"EVALX_DISK_BYTES": "8m"})
    result = result_of(server, "alice", submit(server, "alice", [toy(PROGRAM + files)]))[0]
    assert (result["status"], result["message"][:36]) == ("compile_error", "the compiler's products cannot be ke")


def memory_group(limit):
    """A memory cgroup with this limit below that of this process."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        own = [line.strip().split(":") for line in file]
    own = [path for _, controllers, path in own if controllers == "memory"]
    above = "/sys/fs/cgroup/memory" + (own[0] if own else "")
    if not own or not os.path.isdir(above):
        pytest.skip("no memory controller of cgroup v1")
    group = f"{above}/evalx-test-{os.getpid()}"
    os.mkdir(group)
    with open(group + "/memory.limit_in_bytes", "w", encoding="ascii") as file:
        file.write(str(limit))
    return group


@pytest.mark.slow
def test_with_512_mb_no_submission_kills_the_worker(leave_nothing, folder, start_fair):
    group = memory_group(512 << 20)
    try:
        server = leave_nothing(harness.Evalx("small", ["server"], folder, {
            "EVALX_LANGUAGES": os.path.join(folder, "languages")}))
        server.command = ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *server.command]
        server.start()
        server.wait_ready()
        tokens = [submit(server, "alice", [mib(60, i + 16 * k) for i in range(5)]) for k in range(2)]
        tokens.append(submit(server, "alice", [toy(f"{PROGRAM} truncate -s 240M data; : {i}") for i in range(4)]))
        for token in tokens:
            statuses = {result["status"] for result in result_of(server, "alice", token)}
            assert statuses <= {"accepted", "compile_error"}, statuses
        assert server.running() and len(server.log().split("listening")) == 2
    finally:
        server.stop()
        harness.wait_until("the group is empty", lambda: not open(group + "/cgroup.procs", encoding="ascii").read())
        os.rmdir(group)
