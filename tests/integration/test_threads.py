"""The table of src/daemon/threads.h against the threads of running processes, and against the sources."""
import os
import re

import harness

SRC = os.path.join(harness.ROOT, "src")
PROCESSES = ("server", "api", "worker")
SLOTS = 2  # of every process that the harness starts


def table():
    """name -> (numbers by process, file)."""
    rows = {}
    with open(os.path.join(SRC, "daemon", "threads.h"), encoding="ascii") as file:
        for line in file:
            row = re.fullmatch(r" \*   ([\w-]+) +(\S+) +(\S+) +(\S+) +(\w+/\S+\.c) +\S.*\n", line)
            if row:
                rows[row[1]] = (dict(zip(PROCESSES, row.groups()[1:4])), row[5])
    assert len(rows) > 15
    return rows


def threads(pid):
    """The number of threads of a process by thread name.  The main thread is named after the binary."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
                name = "evalx" if int(thread) == pid else re.sub(r"-\d+$", "-N", file.read().strip())
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has ended meanwhile
        found[name] = found.get(name, 0) + 1
    return found


def differs(process, pid):
    """The differences between the table and a process; empty if there are none."""
    rows, found, wrong = table(), threads(pid), []
    expected = {"1": [1], "1?": [0, 1], "2": [2], "-": [0], "slots": [SLOTS], "2-8": range(2, 9)}
    for name in sorted({*rows, *found}):
        wanted = rows[name][0][process] if name in rows else "-"
        if found.get(name, 0) not in expected[wanted]:
            wrong.append(f"{name}: {found.get(name, 0)} instead of {wanted}")
    return wrong


def expect_threads(process, pid):
    last = []

    def same():
        last[:] = differs(process, pid)
        return not last

    try:
        harness.wait_until("the threads are those of the table", same, 5)
    except AssertionError as error:
        raise AssertionError(f"{error}: {process}: {last}") from None


def test_the_threads_of_an_embedded_server(embedded):
    expect_threads("server", embedded.pid)


def test_the_threads_of_an_api_server_and_a_worker(start_fleet):
    fleet = start_fleet(workers=1)
    expect_threads("api", fleet.api.pid)
    expect_threads("worker", fleet.workers[0].pid)


def test_every_thread_that_is_started_is_in_the_table():
    rows = table()
    started = {}
    for folder, _, files in os.walk(SRC):
        for file in files:
            path = os.path.join(folder, file)
            if not file.endswith(".c") or path == os.path.join(SRC, "base", "sync.c"):
                continue
            with open(path, encoding="utf-8") as opened:
                text = opened.read()
            assert "pthread_create(" not in text, f"{path}: use thread_start of base/sync.h"
            for name in re.findall(r'thread_start(?:_or_abort)?\([^;"]*"([\w-]+)"|pthread_setname_np\([^;"]*"([\w-]+)"',
                                   text):
                started["".join(name)] = os.path.relpath(path, SRC)
    for name, file in started.items():
        assert name in rows, f"{file} starts {name}"
    for name, (_, file) in rows.items():
        assert os.path.exists(os.path.join(SRC, file)), file
