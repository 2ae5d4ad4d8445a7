"""Failures of a worker's host: its launcher, its supervisor, its descriptors.  None of them may become a result; the
submission goes back to the queue, and a worker that cannot run anything claims nothing and says so.
"""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import harness


def hello(number, seconds=0):
    return [{"language": "bash", "version": "*", "code": "read n s; sleep $s; echo $((n * n))",
             "stdin": f"{number} {seconds}\n"}]


def assert_hello(client, token, number, seconds=60):
    answer = client.poll(token, seconds)
    assert answer["status"] == "Completed", answer
    result = answer["results"][0]
    found = (result["status"], result["stdout"], result["stderr"] or "")
    assert found == ("accepted", f"{number * number}\n", ""), answer


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def supervisor_of(server):
    return children_of(server.pid)[0]


def launcher_of(server):
    return harness.wait_until("there is a launcher", lambda: children_of(supervisor_of(server)))[0]


def slots_of(server):
    return [pid for pid in children_of(launcher_of(server)) if name_of(pid).startswith("evalx-slot-")]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def kill_launcher(server):
    """Kills the launcher and waits until its supervisor has started another."""
    old = launcher_of(server)
    os.kill(old, signal.SIGKILL)
    harness.wait_until("there is another launcher",
                       lambda: [pid for pid in children_of(supervisor_of(server))
                                if pid != old and name_of(pid) == "evalx-launcher"])


def gauge(client, name):
    found = re.search(rf"^{name} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else None


def wait_processing(client, token):
    harness.wait_until("it runs", lambda: client.get(f"/submissions/{token}").json()["status"] == "Processing")


# ---- the root side ------------------------------------------------------------------------------------------------

def run_after_kills(server, kills):
    client = server.client()
    assert_hello(client, client.submit(hello(3)), 3)
    for _ in range(kills):
        kill_launcher(server)
    tokens = [(client.submit(hello(number)), number) for number in range(4, 12)]
    for token, number in tokens:
        assert_hello(client, token, number)
    harness.wait_until("it is ready", lambda: client.get("/readyz").status == 200)
    assert gauge(client, "evalx_sandbox_works") == 1


def test_the_launcher_is_killed_twice_with_no_run_between(embedded):
    run_after_kills(embedded, 2)


def test_the_launcher_is_killed_five_times_with_no_run_between(embedded):
    run_after_kills(embedded, 5)


@pytest.mark.slow
def test_a_worker_of_a_fleet_whose_launcher_was_killed_twice(start_fleet):
    fleet = start_fleet(workers=2)
    client = fleet.client()
    for _ in range(2):
        kill_launcher(fleet.workers[0])
    tokens = [(client.submit(hello(number)), number) for number in range(60)]
    for token, number in tokens:
        assert_hello(client, token, number)


def test_slots_are_killed_during_their_runs(embedded):
    client = embedded.client()
    for round_number in range(2):
        token = client.submit(hello(7, 1))
        wait_processing(client, token)
        for pid in slots_of(embedded):
            os.kill(pid, signal.SIGKILL)
        assert_hello(client, token, 7)


def test_a_server_whose_root_side_is_gone_ends_and_says_why(embedded):
    client = embedded.client()
    token = client.submit(hello(5, 60))
    wait_processing(client, token)
    for pid in (supervisor_of(embedded), launcher_of(embedded)):
        os.kill(pid, signal.SIGKILL)
    assert embedded.wait(30) != 0
    assert "the sandbox does not work and did not recover" in embedded.log()
    assert embedded.log().count("the sandbox failed: ") == 1
    embedded.start()
    embedded.wait_ready()
    client = embedded.client()
    assert client.request("DELETE", f"/submissions/{token}").json()["error"] == "cancelled"  # it was kept, and runs
    assert_hello(client, client.submit(hello(5)), 5)


# ---- a submission that takes its worker down -----------------------------------------------------------------------

def test_what_killed_its_worker_twice_is_given_up_and_its_neighbours_are_not(start_evalx):
    server = start_evalx({"EVALX_SLOTS": "4"})
    client = server.client()
    neighbours = [client.submit(hello(number, 3)) for number in range(3)]
    killer = client.submit(hello(9, 600))
    for token in [*neighbours, killer]:
        wait_processing(client, token)
    server.kill9()  # all four are lost, and nobody knows whose fault it was
    for _ in range(3):
        server.start()
        server.wait_ready()
        client = server.client()
        states = {}

        def killer_runs_alone():
            states.update({token: client.get(f"/submissions/{token}").json()["status"]
                           for token in [*neighbours, killer]})
            return states[killer] == "Failed" or (states[killer] == "Processing" and
                                                  list(states.values()).count("Processing") == 1)
        harness.wait_until("only the killer is left", killer_runs_alone, 60)
        if states[killer] == "Failed":
            break
        time.sleep(0.5)
        server.kill9()
    answer = client.poll(killer)
    assert answer["status"] == "Failed" and "given up after 2 attempts" in answer["error"], answer
    for number, token in enumerate(neighbours):
        assert_hello(client, token, number)


# ---- descriptors ---------------------------------------------------------------------------------------------------

def first_free(server):
    """The lowest descriptor that is not open: with this limit no other can be opened."""
    used = {int(name) for name in os.listdir(f"/proc/{server.pid}/fd")}
    return next(number for number in range(65536) if number not in used)


def limit_files(server, soft):
    """Sets the soft limit of a running server, as its own user: root would need CAP_SYS_RESOURCE."""
    with open(f"/proc/{server.pid}/status", encoding="ascii") as file:
        ids = dict(line.split(":", 1) for line in file.read().splitlines())
    subprocess.run(["prlimit", f"--pid={server.pid}", f"--nofile={soft}:"], check=True,
                   user=int(ids["Uid"].split()[0]), group=int(ids["Gid"].split()[0]), extra_groups=[])


def soft_limit_of_files(server):
    with open(f"/proc/{server.pid}/limits", encoding="ascii") as file:
        return int(re.search(r"Max open files +(\d+)", file.read())[1])


def test_no_descriptor_is_left_for_a_while(embedded):
    """Nothing is answered wrong meanwhile, and readyz, metrics and log agree."""
    client = embedded.client()
    assert_hello(client, client.submit(hello(3)), 3)
    before = soft_limit_of_files(embedded)
    limit_files(embedded, first_free(embedded))
    try:
        tokens = [(client.submit(hello(number)), number) for number in range(6)]
        # A slot may have descriptors for one more run, so both of them have to fail.
        harness.wait_until("no slot works", lambda: embedded.log().count("its sandbox slot does not work") == 2, 20)
        assert client.get("/readyz").status == 503
        assert "Too many open files" in client.get("/readyz").text
        assert gauge(client, "evalx_sandbox_works") == 0
        assert "the sandbox failed: " in embedded.log()
        assert not [token for token, _ in tokens
                    if client.get(f"/submissions/{token}").json()["status"] in harness.FINAL]
        claimed = gauge(client, "evalx_submissions_returned_total")
        time.sleep(1)
        assert gauge(client, "evalx_submissions_returned_total") == claimed, "it claims although nothing can run"
    finally:
        limit_files(embedded, before)
    harness.wait_until("it is ready again", lambda: client.get("/readyz").status == 200, 20)
    for token, number in tokens:
        assert_hello(client, token, number)
    assert gauge(client, "evalx_sandbox_works") == 1
    assert "the sandbox works again" in embedded.log()


# ---- several images ------------------------------------------------------------------------------------------------

TINY = """id = {name}
name = Tiny
version = 1.0
image = {name}
source = main.txt
run = /bin/copy {{source}}
[hello]
code = hello
stdout = hello
"""
COPY = """
#include <stdio.h>
int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    for (int c; file != NULL && (c = getc(file)) != EOF;)
        putchar(c);
    return file == NULL;
}
"""
IMAGES = ("first", "second", "third")


def make_images(folder):
    """Three images with one static program each, and their languages."""
    if "libasan" in subprocess.run(["ldd", harness.BINARY], capture_output=True, text=True, check=True).stdout:
        pytest.skip("the self-test of a sanitized build needs libraries that these images lack")
    languages, images = os.path.join(folder, "languages"), os.path.join(folder, "images")
    program = os.path.join(folder, "copy")
    subprocess.run(["gcc", "-static", "-O1", "-x", "c", "-o", program, "-"], input=COPY, text=True, check=True)
    os.makedirs(languages)
    shutil.copy(os.path.join(harness.ROOT, "languages", "defaults.conf"), languages)
    for name in IMAGES:
        os.makedirs(os.path.join(images, name, "bin"))
        shutil.copy(program, os.path.join(images, name, "bin"))
        with open(os.path.join(languages, f"{name}.conf"), "w", encoding="utf-8") as file:
            file.write(TINY.format(name=name))
    return {"EVALX_LANGUAGES": languages, "EVALX_IMAGES": images}


def run_in_all_images(client):
    for name in IMAGES:
        answer = client.run([{"language": name, "version": "*", "code": name}])
        assert [(one["status"], one["stdout"]) for one in answer["results"]] == [("accepted", name)], answer


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_slots_know_all_images_after_the_launcher_died(folder, start_evalx, kills):
    server = start_evalx(make_images(folder))
    client = server.client()
    run_in_all_images(client)
    for _ in range(kills):
        kill_launcher(server)
    run_in_all_images(client)
    assert "does not know this image" not in server.log()


def broken_image(env, name):
    """Paths of an image and of where it is hidden."""
    image = os.path.join(env["EVALX_IMAGES"], name)
    return image, image + ".hidden"


def wait_broken(client, broken):
    harness.wait_until(f"{broken} images are broken", lambda: gauge(client, "evalx_images_broken") == broken, 30)
    harness.wait_until("it is ready", lambda: client.get("/readyz").status == 200)
    assert client.get("/readyz").json().get("images_broken", 0) == broken


def run_in(client, name):
    answer = client.run([{"language": name, "version": "*", "code": name}])
    assert [(one["status"], one["stdout"]) for one in answer["results"]] == [("accepted", name)], answer


def lose_an_image(start_evalx, folder, lost, prepare=None, env=None):
    """One image is gone for a while: the other languages go on, and its submissions wait for it."""
    settings = make_images(folder)
    server = start_evalx({**settings, "EVALX_RETURNS_MAX": "3", **(env or {})})
    client = server.client()
    image, hidden = broken_image(settings, lost)
    os.rename(image, hidden)
    if prepare:
        prepare(server)
    tokens = [client.submit([{"language": lost, "version": "*", "code": lost}]) for _ in range(3)]
    wait_broken(client, 1)
    assert f"image {lost} does not work" in server.log()
    for name in IMAGES:
        if name != lost:
            run_in(client, name)
    mixed = client.submit([{"language": name, "version": "*", "code": name} for name in IMAGES])
    for name in IMAGES:
        if name != lost:
            run_in(client, name)
    assert gauge(client, "evalx_sandbox_works") == 1
    os.rename(hidden, image)
    wait_broken(client, 0)
    for token in tokens:
        assert [one["stdout"] for one in client.poll(token)["results"]] == [lost]
    assert [one["stdout"] for one in client.poll(mixed)["results"]] == list(IMAGES)
    assert f"image {lost} works again" in server.log()


def test_an_image_is_lost(start_evalx, folder):
    lose_an_image(start_evalx, folder, "second")


def test_an_image_is_lost_and_the_launcher_killed(start_evalx, folder):
    lose_an_image(start_evalx, folder, "third", kill_launcher, {"EVALX_SLOTS": "1"})


def test_the_first_image_is_lost_and_the_launcher_killed(start_evalx, folder):
    lose_an_image(start_evalx, folder, "first", kill_launcher)


@pytest.mark.parametrize("name", ["first", "third"])
def test_a_worker_starts_with_a_broken_image(start_evalx, folder, name):
    settings = make_images(folder)
    prepared = os.path.join(settings["EVALX_IMAGES"], ".prepared")
    os.makedirs(prepared)
    open(os.path.join(prepared, name), "w", encoding="utf-8").close()  # instead of a folder
    client = start_evalx(settings).client()
    for other in IMAGES:
        if other != name:
            run_in(client, other)
    assert client.get("/readyz").json()["images_broken"] == 1
    os.unlink(os.path.join(prepared, name))
    wait_broken(client, 0)
    run_in_all_images(client)


# ---- several languages ---------------------------------------------------------------------------------------------

def test_mixed_submissions_go_to_the_worker_that_has_all_languages(folder, start_fleet):
    """One of two workers lacks a language: it returns a submission at once, not when the lease ends."""
    env = make_images(folder)
    fleet = start_fleet(workers=1, env={**env, "EVALX_LEASE_MS": "60000"})
    without = os.path.join(folder, "images-of-one")
    shutil.copytree(env["EVALX_IMAGES"], without)
    shutil.rmtree(os.path.join(without, "third"))
    lacking = harness.Evalx("lacking", ["worker"], folder,
                            {**env, **fleet.redis.settings(), "EVALX_LEASE_MS": "60000", "EVALX_IMAGES": without})
    lacking.start()
    try:
        lacking.wait_ready("/healthz")
        client = fleet.client()
        begin = time.monotonic()
        tokens = [client.submit([{"language": "first", "version": "*", "code": "a"},
                                 {"language": "third", "version": "*", "code": "b"}]) for _ in range(12)]
        for token in tokens:
            answer = client.poll(token)
            assert [(one["status"], one["stdout"]) for one in answer["results"]] == [("accepted", "a"),
                                                                                     ("accepted", "b")], answer
        assert time.monotonic() - begin < 50 * harness.SLOWNESS, "they waited for the end of a lease"
    finally:
        assert lacking.stop() == 0


@pytest.mark.slow
def test_mixed_submissions_that_no_worker_can_run_are_given_up_with_the_reason(folder, start_fleet):
    env = make_images(folder)
    fleet = start_fleet(workers=1, env={**env, "EVALX_RETURNS_MAX": "2"},
                        prepare=lambda redis: shutil.rmtree(os.path.join(env["EVALX_IMAGES"], "third")))
    client = fleet.client()
    token = client.submit([{"language": "first", "version": "*", "code": "a"},
                           {"language": "third", "version": "*", "code": "b"}])
    answer = client.poll(token)
    assert answer["status"] == "Failed" and "language third is not installed" in answer["error"], answer
