"""Faults below the store: the network, the disk, the memory, the server and its name fail.  Each time the API reports
it soon and clearly, no accepted submission is lost, workers deliver running jobs, and all recovers by itself.
"""
import os
import signal
import socket
import subprocess
import time

import pytest

import harness

SOON = 6.0  # seconds to a 503, also from a server that hangs


def echo(number, seconds=0):
    return [{"language": "bash", "version": "*", "code": "read n s; sleep $s; echo $((n * n))",
             "stdin": f"{number} {seconds}\n"}]


def assert_echo(client, token, number):
    answer = client.poll(token)
    assert answer["status"] == "Completed", answer
    assert [result["stdout"] for result in answer["results"]] == [f"{number * number}\n"]


def wait_processing(client, token):
    harness.wait_until("it runs", lambda: client.get(f"/submissions/{token}").json()["status"] == "Processing")


def assert_is_refusal(api, answer, words):
    """503 with Retry-After, and the reason only in the log: clients must not learn details of the store."""
    assert answer.status == 503, f"{answer.status}: {answer.text}"
    assert answer.json()["error"]["code"] == "store_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    reasons = [line for line in api.log().splitlines() if "failed with 503" in line]
    assert reasons and words in reasons[-1], api.log()[-2000:]


def assert_refused(api, client, method, path, words, body=None):
    """Expects 503 for this reason, soon."""
    begin = time.monotonic()
    answer = client.request(method, path, body)
    took = time.monotonic() - begin
    assert_is_refusal(api, answer, words)
    assert took < SOON * harness.SLOWNESS, f"{took:.1f} s"


def submit_until_refused(api, client, words, accepted, most=3000):
    """Submits until one is refused, which must be for this reason.  Adds (token, number) of each accepted one."""
    for number in range(len(accepted), len(accepted) + most):
        answer = client.post("/execute/batch", echo(number))
        if answer.status != 200:
            assert_is_refusal(api, answer, words)
            return
        accepted.append((answer.json()["token"], number))
    raise AssertionError(f"{most} were accepted: nothing ran out")


def back_again(client):
    """Token and number of the first submission that is accepted again."""
    def attempt():
        answer = client.post("/execute/batch", echo(77))
        return answer.json()["token"] if answer.status == 200 else None
    return harness.wait_until("submissions are accepted again", attempt, 20)


def attempts_of(redis, token):
    return redis.call("HGET", f"{{evalx}}:sub:{token}", "attempt")


@pytest.fixture
def small_disk(folder):
    """small_disk(MiB): mounts a new tmpfs of that size."""
    mounted = []

    def mount(mebibytes):
        at = os.path.join(folder, f"disk{len(mounted)}")
        os.mkdir(at)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "evalx-test", at], check=True)
        mounted.append(at)
        return at

    yield mount
    for at in mounted:
        subprocess.run(["umount", at], check=True)


# ---- the disk -----------------------------------------------------------------------------------------------------

def test_a_full_disk_under_sqlite(small_disk, start_evalx):
    server = start_evalx({"EVALX_DATA": small_disk(48)})
    client = server.client()
    accepted = []
    first = client.submit(echo(5))
    assert_echo(client, first, 5)
    running = client.submit(echo(6, 2))
    wait_processing(client, running)
    filler = harness.fill_disk(server.env["EVALX_DATA"])
    submit_until_refused(server, client, "no space left", accepted)
    assert client.get("/healthz").status == 200
    assert_echo(client, first, 5)  # existing results can still be read
    time.sleep(2.5)                # its run ends now, and its result cannot be stored yet
    os.unlink(filler)
    back = back_again(client)
    assert_echo(client, running, 6)
    assert_echo(client, back, 77)
    for token, number in accepted:
        assert_echo(client, token, number)


@pytest.mark.slow
def test_a_full_disk_and_a_kill_under_sqlite(small_disk, start_evalx):
    server = start_evalx({"EVALX_DATA": small_disk(48)})
    accepted = []
    filler = harness.fill_disk(server.env["EVALX_DATA"])
    submit_until_refused(server, server.client(), "no space left", accepted)
    server.kill9()
    server.assert_nothing_left()
    os.unlink(filler)
    server.start()
    server.wait_ready()
    client = server.client()
    assert_echo(client, back_again(client), 77)
    for token, number in accepted:
        assert_echo(client, token, number)


def disk_fleet(small_disk, start_fleet, fsync):
    fleet = start_fleet(workers=1, prepare=lambda redis: redis.use(small_disk(48), fsync))
    return fleet, fleet.client()


@pytest.mark.slow
def test_a_full_disk_under_redis(small_disk, start_fleet):
    """With appendfsync everysec, Redis stays up and rejects writes until its append-only file is written."""
    fleet, client = disk_fleet(small_disk, start_fleet, "everysec")
    accepted = []
    running = client.submit(echo(6, 3))
    wait_processing(client, running)
    filler = harness.fill_disk(fleet.redis.data)
    submit_until_refused(fleet.api, client, "it cannot write to its disk", accepted)
    time.sleep(3)
    os.unlink(filler)
    assert_echo(client, back_again(client), 77)
    assert_echo(client, running, 6)
    for token, number in accepted:
        assert_echo(client, token, number)


@pytest.mark.slow
def test_a_full_disk_ends_a_redis_with_appendfsync_always(small_disk, start_fleet):
    """With appendfsync always, Redis exits rather than acknowledge a write that is not on disk."""
    fleet, client = disk_fleet(small_disk, start_fleet, "always")
    accepted = []
    filler = harness.fill_disk(fleet.redis.data)
    submit_until_refused(fleet.api, client, "Redis", accepted)
    fleet.redis.process.wait(10)
    os.unlink(filler)
    fleet.redis.start()
    assert_echo(client, back_again(client), 77)
    for token, number in accepted:
        assert_echo(client, token, number)


# ---- the memory ---------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_redis_out_of_memory(start_fleet):
    fleet = start_fleet(workers=1)
    client = fleet.client()
    running, accepted = client.submit(echo(6, 2)), []
    wait_processing(client, running)
    used = int(fleet.redis.call("INFO", "memory").split(b"used_memory:")[1].split(b"\r")[0])
    fleet.redis.call("CONFIG", "SET", "maxmemory", used + 300_000)
    submit_until_refused(fleet.api, client, "it is out of memory (maxmemory)", accepted)
    # Submissions that are stored already are still run, and their results can be read.
    assert_echo(client, running, 6)
    for token, number in accepted:
        assert_echo(client, token, number)
    fleet.redis.call("CONFIG", "SET", "maxmemory", 0)
    assert_echo(client, back_again(client), 77)


# ---- the server ---------------------------------------------------------------------------------------------------

def test_a_worker_delivers_what_it_finished_while_redis_was_away(start_fleet):
    fleet = start_fleet(workers=1, env={"EVALX_LEASE_MS": "30000"})
    client = fleet.client()
    running = client.submit(echo(6, 2))
    wait_processing(client, running)
    fleet.redis.kill9()
    for _ in range(5):
        assert_refused(fleet.api, client, "POST", "/execute/batch", "Redis", echo(1))
        assert_refused(fleet.api, client, "GET", f"/submissions/{running}", "Redis")
    time.sleep(3)  # its run has ended
    fleet.redis.start()
    assert_echo(client, back_again(client), 77)
    assert_echo(client, running, 6)
    assert attempts_of(fleet.redis, running) == b"$1\r\n1\r\n", "it was run again"


@pytest.mark.slow
def test_redis_hangs(start_fleet):
    fleet = start_fleet(workers=1, env={"EVALX_LEASE_MS": "30000"})
    client = fleet.client()
    running = client.submit(echo(6, 2))
    wait_processing(client, running)
    os.kill(fleet.redis.pid, signal.SIGSTOP)
    try:
        took = []
        for _ in range(3):
            begin = time.monotonic()
            assert_refused(fleet.api, client, "POST", "/execute/batch", "Redis", echo(1))
            assert_refused(fleet.api, client, "GET", f"/submissions/{running}", "Redis")
            took.append(time.monotonic() - begin)
        print("a POST and a GET, seconds:", [f"{one:.2f}" for one in took])
        assert client.get("/healthz").status == 200
    finally:
        os.kill(fleet.redis.pid, signal.SIGCONT)
    assert_echo(client, back_again(client), 77)
    assert_echo(client, running, 6)
    assert attempts_of(fleet.redis, running) == b"$1\r\n1\r\n", "it was run again"


@pytest.mark.slow
def test_one_of_several_redis_dies(folder, leave_nothing):
    """Its share of the submissions is unavailable until it returns; everything else continues."""
    shards = []
    for name in ("left", "right"):
        os.mkdir(os.path.join(folder, name))
        shards.append(leave_nothing(harness.Redis(os.path.join(folder, name))).start())
    env = {"EVALX_STORE": ",".join(f"redis://127.0.0.1:{redis.port}" for redis in shards)}
    api = leave_nothing(harness.Evalx("api", ["server"], folder, env)).start().wait_ready("/healthz")
    client = api.client()
    waiting = [(client.submit(echo(number)), number) for number in range(10)]
    lost = [one for one in waiting if shards[1].call("EXISTS", f"{{evalx}}:sub:{one[0]}") == b":1\r\n"]
    assert len(lost) == 5
    shards[1].kill9()
    leave_nothing(harness.Evalx("worker", ["worker"], folder, env)).start().wait_ready("/healthz")
    for token, number in waiting:
        if (token, number) not in lost:
            assert_echo(client, token, number)
    assert_refused(api, client, "GET", f"/submissions/{lost[0][0]}", f"127.0.0.1:{shards[1].port}")
    for number in range(20, 26):
        assert_echo(client, back_again(client), 77)
        assert_echo(client, client.submit(echo(number)), number)
    shards[1].start()
    harness.wait_until("the other is back", lambda: client.get(f"/submissions/{lost[0][0]}").status == 200, 20)
    for token, number in lost:
        assert_echo(client, token, number)


# ---- its name -----------------------------------------------------------------------------------------------------

def start_by_name(folder, redis, leave_nothing):
    """(server, hosts): an API server that reaches Redis as redis.test, with a separate hosts file and resolv.conf.

    The name server in resolv.conf never answers: for a name not in the hosts file, the C library waits ten seconds."""
    hosts, resolv = os.path.join(folder, "hosts"), os.path.join(folder, "resolv.conf")
    with open(hosts, "w", encoding="ascii") as file:
        file.write(" " * 100)
    write_hosts(hosts, "127.0.0.1 redis.test")
    with open(resolv, "w", encoding="ascii") as file:
        file.write(f"nameserver {SILENT}\noptions timeout:5 attempts:2\n")
    api = leave_nothing(harness.Evalx("api", ["server"], folder, {"EVALX_STORE": f"redis://redis.test:{redis.port}"}))
    mounts = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    api.command = ["unshare", "--mount", "sh", "-c", mounts, hosts, resolv, *api.command]
    return api.start().wait_ready("/healthz"), hosts


SILENT = "127.77.0.1"


def write_hosts(path, line):
    """Writes the file in place, because it is bound over /etc/hosts of one process."""
    with open(path, "r+", encoding="ascii") as file:
        file.write(line.ljust(99) + "\n")


@pytest.mark.slow
def test_the_name_is_resolved_again(folder, redis_server, leave_nothing):
    """Redis moves to another address, and its name then resolves to that address."""
    api, hosts = start_by_name(folder, redis_server, leave_nothing)
    client = api.client()
    token = client.submit(echo(5))
    redis_server.kill9()
    assert_refused(api, client, "POST", "/execute/batch", "Redis", echo(1))
    redis_server.move("127.0.0.2")
    redis_server.start()
    assert_refused(api, client, "POST", "/execute/batch", "connect to redis.test", echo(1))
    write_hosts(hosts, "127.0.0.2 redis.test")
    back_again(client)
    assert client.get(f"/submissions/{token}").json()["status"] == "Queued"


@pytest.mark.slow
def test_no_name_server_answers(folder, redis_server, leave_nothing):
    """A lookup has no timeout, but calls end in time nevertheless."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((SILENT, 53))
        api, hosts = start_by_name(folder, redis_server, leave_nothing)
        client = api.client()
        token = client.submit(echo(5))
        write_hosts(hosts, "127.0.0.1 elsewhere.test")
        redis_server.kill9()
        redis_server.start()
        for _ in range(2):
            assert_refused(api, client, "POST", "/execute/batch", "look up redis.test: no name server answers", echo(1))
            assert_refused(api, client, "GET", f"/submissions/{token}", "look up redis.test: no name server answers")
        assert silent.recv(512), "the name server was asked"
        write_hosts(hosts, "127.0.0.1 redis.test")
        back_again(client)
        assert client.get(f"/submissions/{token}").json()["status"] == "Queued"


# ---- the network --------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_the_network_is_cut(run_in_own_network):
    """Runs network_scenario.py in a new network namespace."""
    run_in_own_network("network_scenario.py", 120)


# ---- TLS ----------------------------------------------------------------------------------------------------------

def test_a_fleet_over_tls(folder, leave_nothing):
    """End to end with rediss://, as unprivileged users: the CA file can be read, and connections are re-established."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "redis.key", "-out", "redis.crt", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost")
    redis = leave_nothing(harness.Redis(folder))
    port = harness.free_port()
    redis.command += ["--tls-port", str(port), "--tls-cert-file", f"{folder}/redis.crt", "--tls-key-file",
                      f"{folder}/redis.key", "--tls-ca-cert-file", f"{folder}/redis.crt", "--tls-auth-clients", "no"]
    redis.start()
    env = {"EVALX_STORE": f"rediss://localhost:{port}", "EVALX_REDIS_CA": f"{folder}/redis.crt"}
    api = leave_nothing(harness.Evalx("api", ["server"], folder, env))
    worker = leave_nothing(harness.Evalx("worker", ["worker"], folder, env))
    api.start()
    if "built without TLS" in api.log():
        pytest.skip("built without OpenSSL")
    api.wait_ready("/healthz")
    worker.start()
    worker.wait_ready("/healthz")
    client = api.client()
    assert_echo(client, client.submit(echo(9)), 9)
    running = client.submit(echo(6, 2))
    wait_processing(client, running)
    redis.kill9()
    redis.start()
    assert_echo(client, back_again(client), 77)
    assert_echo(client, running, 6)


# ---- the drain ----------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_a_worker_that_drains_claims_nothing_new(start_fleet):
    fleet = start_fleet(workers=1, env={"EVALX_SLOTS": "1"})
    client = fleet.client()
    running = client.submit(echo(6, 2))
    wait_processing(client, running)
    worker = fleet.workers[0]
    worker.terminate()
    waiting = [client.submit(echo(number)) for number in range(5)]
    assert worker.wait() == 0
    assert_echo(client, running, 6)
    assert attempts_of(fleet.redis, running) == b"$1\r\n1\r\n"
    for token in waiting:
        assert client.get(f"/submissions/{token}").json()["status"] == "Queued"
        assert attempts_of(fleet.redis, token) == b"$1\r\n0\r\n", "it was claimed"
    fleet.add_worker()
    for number, token in enumerate(waiting):
        assert_echo(client, token, number)
