"""Fixtures of the black-box tests.

Each test gets its own processes and its own folder.  After each test the fixtures assert that nothing is left: no
process, no program of a run, no cgroup, no mount, no file.
"""
import os
import signal
import subprocess
import threading

import pytest

import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: minutes of load; only ./dev test full runs them with the sanitizers")
    config.addinivalue_line("markers", "xdist_group: as pytest-xdist has it, which may be absent")
    # On SIGTERM the fixtures still clean up.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 143))


def shares_a_fixture(item):
    """True if the test uses a fixture that all tests of its file share."""
    made_by = item._fixtureinfo.name2fixturedefs.values()
    return any(one.scope == "module" for definitions in made_by for one in definitions)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    """For pytest -n --dist loadgroup: tests that share a fixture stay in one process, and long tests start first."""
    for item in items:
        if shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("slow", "xdist_group")))
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="the sandbox needs root"))


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


@pytest.fixture(scope="session")
def evalx_binary():
    assert os.access(harness.BINARY, os.X_OK), f"{harness.BINARY} does not exist: build it, or set EVALX_BINARY"
    return harness.BINARY


@pytest.fixture
def free_port():
    return harness.free_port()


@pytest.fixture
def folder():
    """An empty folder that every user can enter.  It is removed afterwards; nothing may be mounted in it."""
    made = harness.make_folder()
    yield made
    harness.remove_folder(made)


@pytest.fixture
def evalx(evalx_binary, folder):
    """evalx(*words, stdin=b"", env={}): runs evalx and returns the finished process, with text in stdout and stderr."""
    base = {key: value for key, value in os.environ.items() if not key.startswith(("EVALX_", "REDIS_"))}
    base.update(EVALX_DATA=os.path.join(folder, "cli-data"), EVALX_LANGUAGES=os.path.join(harness.ROOT, "languages"),
                EVALX_IMAGES=os.path.join(folder, "no-images"), EVALX_UID_BASE=str(1_900_000_000))

    def call(*words, stdin=b"", env=None, seconds=60, **options):
        done = subprocess.run([evalx_binary, *words], input=stdin, env={**base, **(env or {})}, capture_output=True,
                              timeout=seconds * harness.SLOWNESS, cwd=folder, check=False, **options)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    return call


@pytest.fixture
def leave_nothing(request, folder):
    """leave_nothing(process) registers a harness process.  At the end all are stopped, and leftovers are errors."""
    watched = []

    def watch(process):
        watched.append(process)
        return process

    yield watch
    problems = []
    for thing in reversed(watched):
        if isinstance(thing, harness.Fleet):
            problems += thing.stop()
        else:
            problems += harness.stop_all([thing], [thing] if isinstance(thing, harness.Evalx) else [])
    report = getattr(request.node, "report_call", None)
    if problems or (report is not None and report.failed):
        for thing in watched:
            processes = [*thing.processes(), thing.redis] if isinstance(thing, harness.Fleet) else [thing]
            for process in processes:
                print(f"--- log of {process.name}\n{process.log()[-6000:]}")
    assert not problems, "\n".join(problems)
    evalxes = [p for t in watched for p in (t.processes() if isinstance(t, harness.Fleet) else [t])
               if isinstance(p, harness.Evalx)]
    left = harness.cgroups_of(set().union(*(p.seen_pids for p in evalxes)))
    assert not left, f"cgroups left behind: {left}"


@pytest.fixture
def start_evalx(evalx_binary, folder, leave_nothing):
    """start_evalx(env={}, name="server"): a ready embedded server with these settings."""

    def start(env=None, name="server", ready="/readyz"):
        server = leave_nothing(harness.Evalx(name, ["server"], folder, env))
        server.start()
        return server.wait_ready(ready)

    return start


@pytest.fixture
def embedded(start_evalx):
    """The whole engine in one process tree: url, pid, client(), stop(), kill9(), restart(), log()."""
    return start_evalx()


@pytest.fixture
def run_in_own_network(folder):
    """run_in_own_network(SCENARIO, seconds): runs a script of this folder in a new network namespace, or skips."""

    def run(scenario, seconds):
        probe = ["unshare", "--net", "ip", "link", "add", "name", "evx0", "type", "veth", "peer", "name", "evx1"]
        if subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0:
            pytest.skip("this machine allows no veth in a new network namespace")
        path = os.path.join(harness.ROOT, "tests", "integration", scenario)
        done = subprocess.run(["unshare", "--net", "/usr/bin/python3", path, folder], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds * harness.SLOWNESS, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout)

    return run


@pytest.fixture
def redis_server(folder, leave_nothing):
    return leave_nothing(harness.Redis(folder)).start()


@pytest.fixture
def start_fleet(evalx_binary, folder, leave_nothing):
    """start_fleet(workers=2, env={}): API server and workers on a new Redis; prepare(redis) runs before its start."""

    def start(workers=2, env=None, prepare=None):
        fleet = leave_nothing(harness.Fleet(folder, workers, env))
        if prepare is not None:
            prepare(fleet.redis)
        return fleet.start()

    return start


@pytest.fixture
def fleet(start_fleet):
    return start_fleet()
