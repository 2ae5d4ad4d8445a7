"""chaos: the plan depends on the seed alone, and each kind of wrong end is reported."""
import pytest

import chaos
import chaos_load

COUNTS = {"worker": 3, "api": 2, "redis": 1, "fleet": 1}


def plan(seed, may_cut=True, seconds=120):
    return chaos.make_plan(seed, seconds, chaos.FLEET_FAULTS, COUNTS, 1.7, may_cut)


def test_a_seed_repeats_its_plan():
    assert plan(1) == plan(1)
    assert plan(1) != plan(2)
    assert len(plan(1)) > 30


def test_a_target_has_one_fault_at_a_time():
    for seed in range(20):
        until = {}
        for when, target, _, lasts in plan(seed):
            assert when >= until.get(target, 0)
            until[target] = when + lasts


def test_without_veth_nothing_is_cut():
    assert any(what == "cut" for _, _, what, _ in plan(1))
    assert not any(what == "cut" for _, _, what, _ in plan(1, may_cut=False))


def ended(status="Completed", results=(("accepted", "4\n"),), **more):
    return {"status": status, "results": [{"status": s, "stdout": o} for s, o in results], **more}


@pytest.mark.parametrize("found, asked, cancelled, wrong", [
    (ended(), False, False, None),
    (None, False, False, "not ended"),
    (ended(results=(("accepted", "5\n"),)), False, False, "wanted"),
    (ended(results=(("time_limit", "4\n"),)), False, False, "wanted"),
    (ended(results=()), False, False, "0 results"),
    (ended("Failed", error="given up after 3 attempts"), False, False, "failed"),
    (ended("Failed", error="cancelled"), False, False, "failed"),
    (ended("Failed", error="cancelled"), True, True, None),
    (ended(), True, True, "was cancelled"),
    (ended(), True, False, None),
])
def test_every_wrong_end_is_told(found, asked, cancelled, wrong):
    submission = chaos_load.Submission("token", [("accepted", "4\n")])
    submission.ended, submission.cancel_asked, submission.cancelled = found, asked, cancelled
    told = submission.wrong()
    assert told is None if wrong is None else wrong in told


class Asked(chaos_load.Load):
    """A load that gets these answers, one after the other."""

    def __init__(self, answers):
        super().__init__(["http://nowhere"], 0, 1, None)
        self.answers = answers

    def ask(self, rng, method, path, body=None):
        return self.answers.pop(0)


class Answer:
    def __init__(self, status, body):
        self.status, self.body, self.text = status, body, str(body)

    def json(self):
        return self.body


def test_what_has_ended_must_stay_so():
    load = Asked([Answer(200, ended()), Answer(200, ended()), Answer(200, ended(results=(("accepted", "5\n"),)))])
    submission = chaos_load.Submission("token", [("accepted", "4\n")])
    load.accepted.append(submission)
    assert load.look(None, submission) and load.look(None, submission)
    assert load.problems() == []
    load.look(None, submission)
    assert "had ended as" in load.problems()[0]


def test_what_was_accepted_must_be_known():
    load = Asked([Answer(404, {})])
    load.look(None, chaos_load.Submission("token", []))
    assert "was accepted, and now: 404" in load.problems()[0]
