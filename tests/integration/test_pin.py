"""EVALX_PIN: the runs of a slot have one processor and cannot choose another; slots are assigned processors in turn."""
import os

import pytest

PROCESSORS = "import os; print(*sorted(os.sched_getaffinity(0)))"
# Both programs run at the same time, because each waits long enough for the other to report its processor.
TOGETHER = "import os, time; time.sleep(1); print(*sorted(os.sched_getaffinity(0)))"
TAKE_ANOTHER = """import os
try:
    os.sched_setaffinity(0, range(os.cpu_count()))
    print("moved")
except PermissionError:
    print("refused", len(os.sched_getaffinity(0)))
"""


def said(server, code, tests=1):
    batch = [{"language": "python", "version": "3", "code": code}] + [{"stdin": ""}] * (tests - 1)
    results = server.client().run(batch)["results"]
    assert [result["status"] for result in results] == ["accepted"] * tests, results
    return [result["stdout"].strip() for result in results]


@pytest.fixture
def given():
    return sorted(os.sched_getaffinity(0))


def test_a_slot_has_one_processor_and_keeps_it(start_evalx, given):
    server = start_evalx({"EVALX_PIN": "true", "EVALX_SLOTS": "1"})
    assert said(server, PROCESSORS) == [str(given[0])]
    assert said(server, TAKE_ANOTHER) == ["refused 1"]
    assert said(server, PROCESSORS) == [str(given[0])]


def test_slots_take_turns(start_evalx, given):
    if len(given) < 2:
        pytest.skip("there is one processor")
    slots = min(len(given), 4)
    server = start_evalx({"EVALX_PIN": "true", "EVALX_SLOTS": str(slots)})
    assert sorted(said(server, TOGETHER, slots), key=int) == [str(cpu) for cpu in given[:slots]]


def test_by_default_there_are_all(start_evalx, given):
    server = start_evalx()
    assert said(server, PROCESSORS) == [" ".join(map(str, given))]
    assert said(server, "import os; os.sched_setaffinity(0, [%d]); print(len(os.sched_getaffinity(0)))" % given[-1]) \
        == ["1"]
