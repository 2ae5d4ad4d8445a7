"""A fleet over Redis under the load of polling clients, while parts of it die: every answer stays right.

50 clients each submit a batch of 20 and poll every 250 ms, as existing clients do.  Every program's answer depends on
the client and on the input, so a lost, doubled or swapped result cannot look right.
"""
import http.client
import threading
import time

import pytest

import harness

CLIENTS = 50
BATCH = 20
POLL_SECONDS = 0.25

C_PROGRAM = """
#include <stdio.h>
int main(void)
{
    unsigned long long n, sum = 0;
    if (scanf("%%llu", &n) != 1)
        return 1;
    for (unsigned long long i = 1; i <= n; i++)
        sum += i * i;
    printf("%%llu\\n", sum * 1000 + %(client)d);
    return 0;
}
"""
PYTHON_PROGRAM = """
n = int(input())
print(sum(i * i for i in range(1, n + 1)) * 1000 + %(client)d)
"""
BASH_PROGRAM = """
read -r n
sum=0
for ((i = 1; i <= n; i++)); do sum=$((sum + i * i)); done
echo $((sum * 1000 + %(client)d))
"""
PROGRAMS = [("python", PYTHON_PROGRAM), ("c", C_PROGRAM), ("bash", BASH_PROGRAM)]


def inputs_of(client):
    return [1 + (client * 7 + i * 13) % 97 for i in range(BATCH)]


def answer_to(client, n):
    return n * (n + 1) * (2 * n + 1) // 6 * 1000 + client


def batch_of(client):
    """The first element contains the program; the others contain only their input, as existing clients send it."""
    language, code = PROGRAMS[client % len(PROGRAMS)]
    inputs = inputs_of(client)
    first = {"language": language, "version": "latest", "code": code % {"client": client}, "timeout": 10,
             "memory_limit": "128m", "stdin": f"{inputs[0]}\n"}
    return [first] + [{"stdin": f"{n}\n"} for n in inputs[1:]]


def patiently(call, what, seconds=60.0):
    """Repeats a safe call while the service is unavailable (503, refused or cut connections)."""
    end = time.monotonic() + seconds * harness.SLOWNESS
    while True:
        try:
            answer = call()
            if answer.status < 500:
                return answer
            trouble = f"{answer.status} {answer.text[:200]}"
        except (OSError, http.client.HTTPException) as error:
            trouble = repr(error)
        assert time.monotonic() < end, f"{what}: {trouble}"
        time.sleep(POLL_SECONDS)


def submit_and_poll(url, client, seconds, finished, patient=False):
    """One user: submits a batch, polls to the end, returns the results.  Reports each end to `finished`."""
    link = harness.Client(url)
    ask = patiently if patient else lambda call, what, *_: call()
    try:
        answer = ask(lambda: link.post("/execute/batch", batch_of(client)), "submit")
        assert answer.status == 200, f"{answer.status}: {answer.text[:500]}"
        first = answer.json()
        assert first["status"] == "Queued" and first["results"] is None, first
        end = time.monotonic() + seconds * harness.SLOWNESS
        while True:
            answer = ask(lambda: link.get(f"/submissions/{first['token']}"), "poll")
            assert answer.status == 200, f"{answer.status}: {answer.text[:500]}"
            found = answer.json()
            if found["status"] in harness.FINAL:
                finished.append(client)
                return found
            assert time.monotonic() < end, f"client {client}: {found['status']} after {seconds} s"
            time.sleep(POLL_SECONDS)
    finally:
        link.close()


def assert_right(client, found):
    assert found["status"] == "Completed", f"client {client}: {found}"
    assert len(found["results"]) == BATCH, f"client {client}: {len(found['results'])} results"
    for n, result in zip(inputs_of(client), found["results"]):
        assert result["stdout"] == f"{answer_to(client, n)}\n", f"client {client}, input {n}: {result}"
        assert result["exit_code"] == 0, f"client {client}, input {n}: {result}"
        assert result["stderr"] in (None, ""), f"client {client}, input {n}: {result}"


def run_clients(fleet, clients=CLIENTS, seconds=120.0, during=None, patient=False):
    """Runs all users at once.  Meanwhile calls `during(finished)` once, in this thread.  All answers are
    checked here; returns what each client got."""
    finished = []
    got = {}

    def users():
        got["all"] = harness.in_threads(
            clients, lambda i: submit_and_poll(fleet.url, i, seconds, finished, patient))

    failure = []

    def guarded():
        try:
            users()
        except BaseException as error:  # noqa: B902 - raised again below
            failure.append(error)

    crowd = threading.Thread(target=guarded, daemon=True)
    crowd.start()
    if during is not None:
        during(finished)
    crowd.join()
    if failure:
        raise failure[0]
    for client, found in enumerate(got["all"]):
        assert_right(client, found)
    return got["all"]


def some_finished(finished, count):
    """The moment at which some users have their results and others do not."""
    harness.wait_until(f"{count} users have finished", lambda: len(finished) >= count, 60, 0.005)
    assert len(finished) < CLIENTS, "all users had finished before anything could be killed"


@pytest.mark.slow
def test_fifty_polling_clients_two_workers(fleet):
    run_clients(fleet)


@pytest.mark.slow
def test_worker_killed_in_the_middle_changes_nothing(fleet):
    def kill(finished):
        some_finished(finished, 5)
        dead = fleet.kill_worker(0)
        # Its launcher sees the socket close, and removes programs, slots and cgroups by itself.
        dead.assert_nothing_left()
        assert not harness.cgroups_of(dead.seen_pids)

    run_clients(fleet, during=kill)


@pytest.mark.slow
def test_both_workers_killed_and_one_new(fleet):
    def kill(finished):
        some_finished(finished, 5)
        fleet.kill_worker(0)
        fleet.kill_worker(0)
        fleet.add_worker()

    run_clients(fleet, during=kill)


@pytest.mark.slow
def test_redis_restarted_in_the_middle(fleet):
    def restart(finished):
        some_finished(finished, 5)
        fleet.restart_redis(pause=1.0)

    run_clients(fleet, during=restart, patient=True)


@pytest.mark.slow
def test_api_killed_in_the_middle(fleet):
    def kill(finished):
        some_finished(finished, 5)
        fleet.api.kill9()
        fleet.api.start()
        fleet.api.wait_ready()

    run_clients(fleet, during=kill, patient=True)


def test_few_clients(fleet):
    """The short form of the above, for every build."""
    run_clients(fleet, clients=6)


def test_results_survive_the_api(fleet):
    client = fleet.client()
    token = client.submit(batch_of(1))
    before = client.poll(token)
    assert_right(1, before)
    client.close()
    fleet.api.kill9()
    fleet.api.start()
    fleet.api.wait_ready()
    client = fleet.client()
    assert client.get(f"/submissions/{token}").json() == before
    assert_right(2, client.run(batch_of(2)))
    client.close()


def test_a_submission_waits_for_the_first_worker(start_fleet):
    """Accepted means stored: the submission waits in Redis while API and Redis restart, until a worker appears."""
    fleet = start_fleet()
    for worker in fleet.workers:
        assert worker.stop() == 0
    fleet.ended, fleet.workers = fleet.workers, []
    client = fleet.client()
    token = client.submit(batch_of(4))
    client.close()
    fleet.api.kill9()
    fleet.redis.kill9()
    fleet.redis.start()
    fleet.api.start()
    fleet.api.wait_ready("/healthz")
    client = fleet.client()
    assert client.get(f"/submissions/{token}").json()["status"] == "Queued"
    fleet.add_worker()
    assert_right(4, client.poll(token))
    client.close()


def test_sigterm_drains_a_worker(fleet):
    """After SIGTERM a worker finishes its runs and ends with 0; nothing waits for a lease to expire."""
    sleeper = [{"language": "python", "version": "latest", "timeout": 10,
                "code": "import time\ntime.sleep(1.5)\nprint(input())", "stdin": f"{i}\n"} for i in range(4)]
    client = fleet.client()
    token = client.submit(sleeper)
    harness.wait_until("a worker has it", lambda: client.get(f"/submissions/{token}").json()["status"] == "Processing")
    for worker in fleet.workers:
        worker.terminate()
    found = client.poll(token)
    assert [result["stdout"] for result in found["results"]] == [f"{i}\n" for i in range(4)]
    assert [worker.wait() for worker in fleet.workers] == [0, 0]
    for worker in fleet.workers:
        worker.assert_nothing_left()
    assert client.get("/healthz").status == 200
    client.close()


def test_embedded_kill9_leaves_nothing_and_forgets_nothing(embedded):
    """The engine in one process: killed while programs run, its launcher cleans up; started again, it finishes."""
    client = embedded.client()
    token = client.submit([{"language": "python", "version": "latest", "timeout": 20,
                            "code": "import time\ntime.sleep(2)\nprint(6 * 7)"}])
    harness.wait_until("it runs", lambda: client.get(f"/submissions/{token}").json()["status"] == "Processing")
    client.close()
    embedded.kill9()
    embedded.assert_nothing_left()
    embedded.start()
    embedded.wait_ready()
    client = embedded.client()
    found = client.poll(token, 90)
    assert [result["stdout"] for result in found["results"]] == ["42\n"], found
    client.close()


def test_embedded_stops_in_order(embedded):
    assert embedded.client().get("/readyz").status == 200
    assert embedded.stop() == 0
    embedded.assert_nothing_left()


# ---- several machines ---------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_machines_come_and_go_under_load(run_in_own_network):
    """Runs fleet_scenario.py in new network namespaces."""
    run_in_own_network("fleet_scenario.py", 240)


def test_workers_share_compiled_artifacts(start_fleet):
    """Each worker has its own data folder.  With EVALX_SHARE_BYTES, the second finds the first's artifact in Redis."""
    fleet = start_fleet(workers=1, env={"EVALX_SHARE_BYTES": "16m"})
    client = fleet.client()

    def compiled_anew():
        body = {"language": "c", "version": "latest", "code": "int main(void) { return 0; }", "timeout": 10}
        result = client.run([body])["results"][0]
        assert result["exit_code"] == 0, result
        return not result["compile_cached"]

    assert compiled_anew()
    harness.wait_until("the artifact is in Redis",
                       lambda: fleet.redis.call("EXISTS", "{evalx}:shared_bytes") == b":1\r\n")
    fleet.kill_worker(0)
    fleet.add_worker()
    assert not compiled_anew()
    client.close()
