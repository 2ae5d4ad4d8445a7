"""The whole engine in one command: how it starts, which privileges it keeps, how it ends, and what kill -9 leaves."""
import json
import os
import re
import signal
import time

import pytest

import harness

SLEEPY = "read n; sleep 0.3; echo $((n * n))"


def squares(count, code=SLEEPY):
    return [{"language": "bash", "version": "*", "code": code, "stdin": "0", "expected_output": "0"}] + \
        [{"stdin": str(n), "expected_output": str(n * n)} for n in range(1, count)]


def assert_squares(answer, count):
    assert answer["status"] == "Completed", answer
    assert [result["stdout"] for result in answer["results"]] == [f"{n * n}\n" for n in range(count)]
    assert {result["status"] for result in answer["results"]} == {"accepted"}


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)


def descendants(pid):
    """All descendants of the process, regardless of their names, environments and users."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(status_of(entry)["PPid"])
        except (OSError, KeyError):
            continue
    found, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        grown, found = bool(more), found | more
    return found - {pid}


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def alive(pids):
    living = []
    for pid in pids:
        try:
            if not status_of(pid)["State"].strip().startswith("Z"):
                living.append(pid)
        except (OSError, KeyError):
            continue
    return living


def evalx_cgroups():
    return {os.path.join(folder, name) for folder, folders, _ in os.walk("/sys/fs/cgroup") for name in folders
            if name.startswith("evalx-")}


def wait_processing(client, token):
    harness.wait_until("it is Processing",
                       lambda: client.get(f"/submissions/{token}").json()["status"] == "Processing")


def test_batch_survives_kill9(embedded):
    """The process is killed in the middle of twenty tests and restarted: all results are right and in order."""
    client = embedded.client()
    cgroups = evalx_cgroups()
    token = client.submit(squares(20))
    wait_processing(client, token)
    time.sleep(0.7)
    below = descendants(embedded.pid)
    assert below, "there must be a launcher and programs to lose"
    client.close()
    embedded.kill9()
    harness.wait_until("no process of the sandbox is left", lambda: not alive(below))
    embedded.assert_nothing_left()
    embedded.start()
    embedded.wait_ready()
    assert_squares(embedded.client().poll(token), 20)
    assert embedded.stop() == 0
    mine = evalx_cgroups() - cgroups
    assert not harness.cgroups_of(below | embedded.seen_pids), mine


def test_many_kills_lose_nothing(start_evalx):
    """Killed at five different moments: every accepted submission ends once, with the right results."""
    embedded = start_evalx({"EVALX_ATTEMPTS_MAX": "20"})  # one submission may be running at each kill
    tokens = []
    for round_number in range(5):
        client = embedded.client()
        tokens += [client.submit(squares(4, "read n; sleep 0.1; echo $((n * n))")) for _ in range(3)]
        time.sleep(0.05 + 0.11 * round_number)
        below = descendants(embedded.pid)
        client.close()
        embedded.kill9()
        harness.wait_until("no process of the sandbox is left", lambda below=below: not alive(below))
        embedded.start()
        embedded.wait_ready()
    client = embedded.client()
    for token in tokens:
        assert_squares(client.poll(token), 4)


def test_root_side_killed_in_the_middle(embedded):
    """Every process of the sandbox is killed twice during a batch: the worker repeats the lost runs."""
    client = embedded.client()
    token = client.submit(squares(12))
    wait_processing(client, token)
    for _ in range(2):
        time.sleep(0.4)
        for pid in descendants(embedded.pid):
            if status_of(pid)["Name"].strip().startswith("evalx-launcher"):
                os.kill(pid, signal.SIGKILL)
                break
    assert_squares(client.poll(token), 12)


def test_a_program_is_not_blamed_for_a_launcher_that_dies(embedded):
    """The launcher dies four times during the same run: the run is repeated, and is no internal error."""
    client = embedded.client()
    token = client.submit(squares(1, "read n; sleep 1.5; echo $((n * n))"))
    wait_processing(client, token)
    for _ in range(4):
        time.sleep(0.6)
        supervisor = min(children_of(embedded.pid))
        launcher = min(children_of(supervisor))
        os.kill(launcher, signal.SIGKILL)
    assert_squares(client.poll(token), 1)
    assert embedded.log().count("has ended") >= 3


def test_the_http_side_has_given_up_root(embedded):
    status = status_of(embedded.pid)
    assert 0 not in [int(uid) for uid in status["Uid"].split()]
    assert 0 not in [int(gid) for gid in status["Gid"].split()]
    assert status["Groups"].split() == []
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"].strip() == "1"
    # Not dumpable: only root can read its memory and environment, not another process of the same user.
    assert os.stat(f"/proc/{embedded.pid}/environ").st_uid == 0
    data = os.stat(embedded.data)
    assert data.st_uid == int(status["Uid"].split()[0]) and data.st_mode & 0o777 == 0o700


def test_secrets_leave_the_environment(start_fleet):
    """A password in REDIS_PASSWORD or in a URL is in no /proc/PID/environ or cmdline of any process."""
    fleet = start_fleet(workers=1)
    api = harness.Evalx("secretive", ["server", "--set", "redis_password="], fleet.folder,
                        {**fleet.redis.settings(), "EVALX_STORE": f"redis://127.0.0.1:{fleet.redis.port}/0"})
    api.start()
    try:
        api.wait_ready("/healthz")
        pids = {api.pid} | descendants(api.pid)
        for pid in pids:
            with open(f"/proc/{pid}/environ", "rb") as file:
                assert f"redis://127.0.0.1:{fleet.redis.port}".encode() not in file.read()
    finally:
        api.stop()


def test_programs_see_no_evalx_setting(embedded):
    code = "env; cat /proc/1/environ /proc/self/environ 2>/dev/null"
    answer = embedded.client().run([{"language": "bash", "version": "*", "code": code}])
    output = answer["results"][0]["stdout"]
    assert "PATH=" in output and "EVALX" not in output and "TEST_ID" not in output


def test_sigterm_finishes_what_runs(embedded):
    client = embedded.client()
    token = client.submit(squares(4))
    wait_processing(client, token)
    client.close()
    begin = time.monotonic()
    embedded.terminate()
    assert embedded.wait() == 0
    assert time.monotonic() - begin < 10 * harness.SLOWNESS
    embedded.start()
    embedded.wait_ready()
    answer = embedded.client().get(f"/submissions/{token}").json()
    assert_squares(answer, 4)  # it was finished before the end, not run again


def test_drain_deadline_hands_back(start_evalx):
    server = start_evalx({"EVALX_DRAIN_SECONDS": "1"})
    client = server.client()
    token = client.submit([{"language": "bash", "version": "*", "code": "sleep 4; echo done"}])
    wait_processing(client, token)
    client.close()
    below = descendants(server.pid)
    server.terminate()
    assert server.wait() == 0
    assert not alive(below)
    server.start()
    server.wait_ready()
    answer = server.client().poll(token)
    assert answer["status"] == "Completed" and answer["results"][0]["stdout"] == "done\n"


def test_second_signal_ends_at_once(start_evalx):
    server = start_evalx()
    client = server.client()
    token = client.submit([{"language": "bash", "version": "*", "code": "sleep 8"}])
    wait_processing(client, token)
    client.close()
    below = descendants(server.pid)
    server.terminate()
    time.sleep(0.3)
    assert server.running()
    server.terminate()
    assert server.wait(5) == -signal.SIGTERM
    harness.wait_until("no process of the sandbox is left", lambda: not alive(below))


def test_cancel_ends_a_run_at_once(embedded):
    client = embedded.client()
    token = client.submit(squares(4, "sleep 8"))
    wait_processing(client, token)
    running = {pid for pid, _, uid in embedded.leftovers() if uid - embedded.uid_base in range(harness.UID_SPAN)}
    begin = time.monotonic()
    answer = client.request("DELETE", f"/submissions/{token}")
    assert answer.status == 200, answer.text
    harness.wait_until("its programs are gone", lambda: not alive(running), 5, 0.005)
    assert time.monotonic() - begin < 1 * harness.SLOWNESS
    assert client.poll(token)["status"] == "Failed"
    assert_squares(client.run(squares(2)), 2)  # the slots are free for others


def test_results_are_kept_only_when_asked_for(embedded):
    client = embedded.client()
    element = {"language": "bash", "version": "*", "code": "read -r n; echo $n $EPOCHREALTIME $RANDOM; exit $n"}

    def run(path="/execute/batch", **fields):
        answer = client.post(f"{path}?wait=30" if "?" not in path else f"{path}&wait=30", [{**element, **fields}])
        assert answer.status == 200, answer.text
        return answer.json()["results"][0]

    first, second = run(stdin="0"), run(stdin="0")  # nobody asked
    assert not first["result_cached"] and not second["result_cached"] and first["stdout"] != second["stdout"]
    kept = run(stdin="0", cache=True)  # what ran without being asked was not kept either
    assert not kept["result_cached"] and kept["stdout"] not in (first["stdout"], second["stdout"])
    again = run(stdin="0", cache=True, expected_output="else")
    assert again["result_cached"] and again["stdout"] == kept["stdout"] and again["wall_time"] == kept["wall_time"]
    assert (kept["status"], again["status"]) == ("accepted", "wrong_answer")  # judged anew
    assert not run(stdin="0")["result_cached"]
    assert not run("/execute/batch?fresh=true", stdin="0", cache=True)["result_cached"]
    # A change of any input makes it another run.
    others = [{"stdin": "00"}, {"stdin": "0", "args": ["x"]}, {"stdin": "0", "limits": {"processes": 63}},
              {"stdin": "0", "code": element["code"] + "\n"}, {"stdin": "0", "timeout": 4}]
    for other in others:
        assert not run(cache=True, **other)["result_cached"], other
        assert run(cache=True, **other)["result_cached"], other
    # The result of a program that ended by itself is kept, whatever it is.  A result caused by a limit is not kept.
    assert [run(stdin="3", cache=True)["result_cached"] for _ in range(2)] == [False, True]
    slow = {"code": "sleep 9", "limits": {"wall_time_ms": 100}, "cache": True}
    for _ in range(2):
        result = run(**slow)
        assert (result["status"], result["result_cached"]) == ("time_limit", False)


def test_compiled_once_and_kept(embedded, evalx_binary):
    if not os.access("/usr/bin/gcc", os.X_OK):
        pytest.skip("no C compiler on this machine")
    code = '#include <stdio.h>\nint main(void){int n;scanf("%d",&n);printf("%d\\n",n*n);return 0;}\n'
    batch = [{"language": "c", "version": "*", "code": code, "stdin": "0"}] + [{"stdin": str(n)} for n in range(1, 6)]
    client = embedded.client()
    first = client.run(batch)["results"]
    assert [result["stdout"] for result in first] == [f"{n * n}\n" for n in range(6)]
    assert len({result["compile_time"] for result in first}) == 1 and first[0]["compile_time"] > 0
    assert not any(result["compile_cached"] for result in first)
    second = client.run(batch)["results"]
    assert all(result["compile_cached"] and result["compile_time"] == 0 for result in second)
    embedded.restart()
    third = embedded.client().run(batch)["results"]
    assert all(result["compile_cached"] for result in third)
    assert [result["stdout"] for result in third] == [f"{n * n}\n" for n in range(6)]
    metrics = embedded.client().get("/metrics").text
    assert re.search(r'^evalx_cache_hits_total\{language="c"\} 1$', metrics, re.M)
    # A fresh one is compiled anew and leaves nothing behind.
    changed = [{**batch[0], "code": code + "/* fresh */"}]
    for _ in range(2):
        token = embedded.client().submit(changed, "/execute/batch?fresh=true")
        assert not embedded.client().poll(token)["results"][0]["compile_cached"]
    assert not embedded.client().run(changed)["results"][0]["compile_cached"]
    token = embedded.client().submit(changed, "/execute/batch?fresh=true")
    assert not embedded.client().poll(token)["results"][0]["compile_cached"]
    assert embedded.client().run(changed)["results"][0]["compile_cached"]
    answer = embedded.client().post("/execute/batch?fresh=maybe", changed)
    assert (answer.status, answer.json()["error"]["field"]) == (400, "fresh")
    # Another program is another artifact.
    other = [{**batch[0], "code": code.replace("n*n", "n+1")}]
    assert embedded.client().run(other)["results"][0]["stdout"] == "1\n"


def test_one_batch_in_several_languages_keeps_its_order(embedded):
    batch = [{"language": "bash", "version": "*", "code": "sleep 0.5; echo first"},
             {"language": "python", "version": "*", "code": "print('second')"},
             {"language": "bash", "version": "*", "code": "exit 3"},
             {"language": "python", "version": "*", "code": "import sys; sys.exit('no')"}]
    answer = embedded.client().run(batch)
    results = answer["results"]
    assert [r["stdout"] for r in results] == ["first\n", "second\n", "", ""]
    assert [r["exit_code"] for r in results] == [0, 0, 3, 1]
    assert [r["element"] for r in results] == [0, 1, 2, 3]


def test_tests_run_side_by_side(embedded):
    """Two slots: four sleeps of half a second take about one second, not two."""
    begin = time.monotonic()
    answer = embedded.client().run([{"language": "bash", "version": "*", "code": "sleep 0.5; echo", "stdin": str(n)}
                                    for n in range(4)])
    took = time.monotonic() - begin
    assert answer["status"] == "Completed"
    assert took < 1.8 * harness.SLOWNESS, took
    assert sum(r["wall_time"] for r in answer["results"]) >= 2.0


def test_a_second_engine_on_the_same_folder_is_refused(embedded):
    second = harness.Evalx("second", ["server"], embedded.folder, {"EVALX_DATA": embedded.data})
    second.start()
    assert second.wait() == 1
    assert embedded.data in second.log()
    assert_squares(embedded.client().run(squares(2)), 2)


def test_ready_line_and_start_time(embedded):
    """The log line for operators names the address and the settings; a start takes well below a second."""
    embedded.restart()
    line = next(line for line in reversed(embedded.log().splitlines()) if "listening" in line)
    assert f"address=127.0.0.1:{embedded.port}" in line
    for word in ("version=", "store=sqlite", "slots=2", "cgroup=v"):
        assert word in line, line
    assert re.search(r'languages="?([^" ]*[, ])?bash\b', line), line # others may be installed too
    embedded.stop()
    begin = time.monotonic()
    embedded.start()
    harness.wait_until("it listens", lambda: embedded.answers("/healthz"), 20, 0.005)
    assert time.monotonic() - begin < 1.0 * harness.SLOWNESS
    assert json.loads(embedded.client().get("/healthz").text)["status"] == "ok"


def test_names_of_files_may_contain_parts_that_mean_nothing(embedded):
    client = embedded.client()
    files = [{"name": name, "content": name + "\n"} for name in ("./dir1/x", "dir2//y", "dir3/./z", ".//w")]
    answer = client.run([{"language": "bash", "version": "*", "code": "cat dir1/x dir2/y dir3/z w", "files": files}])
    assert answer["results"][0]["stdout"] == "./dir1/x\ndir2//y\ndir3/./z\n.//w\n", answer
    for name in ("/dir1/x", "//x", "dir1/", "./", ".", "./../x", "dir1/.//../x", "./dir1/x/."):
        refused = client.post("/execute/batch", [{"language": "bash", "version": "*", "code": ":",
                                                  "files": [{"name": name, "content": ""}]}])
        assert refused.status == 400 and refused.json()["error"]["field"].endswith("name"), name
    both = [{"name": "./same", "content": ""}, {"name": "same", "content": ""}]
    refused = client.post("/execute/batch", [{"language": "bash", "version": "*", "code": ":", "files": both}])
    assert refused.status == 400 and "exists already" in refused.text
