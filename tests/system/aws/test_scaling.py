"""The scaling rules of service.yaml, simulated by tools/scaling.py: no flapping, and better than a step alone."""
import copy
import os
import sys

import pytest

import templates

sys.path.insert(0, os.path.join(templates.ROOT, "tools"))
import scaling  # noqa: E402

SETTLED_S, SECONDS = 3600, 14400


def steady(rate, rules=None, seed=1, boot=90, slots=2):
    settings = scaling.Settings(boot=boot, slots=slots)
    return scaling.simulate((SECONDS, lambda _second: rate), "ours", settings, rules, seed)


def unrest(fleets):
    """(reversals within a quarter of an hour, changes) in three hours of constant load, summed over all fleets."""
    changes = [[c for c in fleet.changes if c[0] >= SETTLED_S] for fleet in fleets]
    return sum(f.flaps(900, SETTLED_S) for f in fleets), sum(map(len, changes))


RATES = (0.3, 0.5, 0.7, 1.0, 1.5, 3.0, 6.0, 9.0)


def test_an_even_load_does_not_flap():
    fleets = [steady(rate, seed=seed, boot=boot) for rate in RATES for seed, boot in ((1, 60), (2, 180))]
    reversals, changes = unrest(fleets)
    assert reversals == 0
    assert changes <= 1.5 * len(fleets), f"{changes} changes in {len(fleets)} fleets of three hours"


@pytest.mark.slow
def test_larger_workers_do_not_flap_either():
    fleets = [steady(rate, slots=4, seed=seed) for rate in (0.5, 1.5, 3.0, 9.0) for seed in (1, 2, 3)]
    reversals, changes = unrest(fleets)
    assert reversals <= 1 and changes <= 1.5 * len(fleets)


@pytest.mark.slow
def test_a_policy_that_flaps_is_found():
    """A plain (queued + busy) / slots, and a policy that ignores running jobs."""
    for plain in ("IF(slots > 0, (queued + busy) / slots, 1.2)", "IF(slots > 0, queued / slots, 1.2)"):
        template = copy.deepcopy(templates.load("service.yaml"))
        policy = template["Resources"]["WorkerTracking"]["Properties"]["TargetTrackingConfiguration"]
        metrics = policy["CustomizedMetricSpecification"]["Metrics"]
        policy["CustomizedMetricSpecification"]["Metrics"] = [m for m in metrics if "MetricStat" in m] + [
            {"Id": "load", "ReturnData": True, "Expression": plain}]
        fleets = [steady(rate, scaling.Rules(template)) for rate in RATES]
        reversals, changes = unrest(fleets)
        assert reversals > 0 or changes > 3 * len(fleets), plain


@pytest.mark.parametrize("load", ["bursts", "rise and drop to zero"])
def test_cost_and_benefit_of_both_policies(load):
    ours, step, bare = (scaling.simulate(load, policy) for policy in ("ours", "step", "bare step"))
    assert ours.instance_hours() < 0.75 * step.instance_hours(), "nothing scaled in"
    assert ours.wait_at(.99) <= bare.wait_at(.99)
    assert ours.history[-1][3] <= 2, "the fleet is small again after the load"
    assert step.history[-1][3] > 10, "a step alone never is"


def test_busy_workers_are_not_removed():
    """Busy slots and an empty queue: by the queue alone, no worker would be needed."""
    rules = scaling.Rules()
    assert rules.load(0, 20, 20) > 0.9 * rules.target
    assert rules.load(0, 0, 20) < 0.9 * rules.target
    assert rules.load(30, 0, 0) > rules.target, "no slot at all"
    assert 0.9 * rules.target < rules.load(0, 12, 20) < rules.target, "the band in which nothing happens"


def test_submissions_of_many_tests_count_by_the_slots_they_fill():
    """Counted by submissions, a fleet of full workers looks idle and would shrink again and again."""
    def fleet(told_width):
        settings = scaling.Settings(slots=4, width=4, told_width=told_width)
        found = scaling.simulate((SECONDS, lambda _second: 1.0), "ours", settings)
        return unrest([found]), sorted(found.waits[SETTLED_S:])  # about one a second
    (reversals, changes), waits = fleet(4)
    assert reversals == 0 and changes <= 3 and waits[len(waits) * 99 // 100] < 30
    (reversals, changes), waits = fleet(1)
    assert reversals > 0 and changes > 30 and waits[len(waits) * 99 // 100] > 60


def test_the_step_counts_instances_that_warm_up():
    rules = scaling.Rules()
    assert [rules.step_for(depth) for depth in (20, 21, 101, 501)] == [2, 2, 4, 8]
    assert rules.step_for(19) == 0 and rules.depth == 20


def test_the_delays_are_those_of_the_files():
    with open(os.path.join(templates.DEPLOY, "cloudwatch", "prometheus.yaml"), encoding="utf-8") as file:
        assert f"scrape_interval: {scaling.SCRAPE_S}s" in file.read()
    with open(os.path.join(templates.ROOT, "src", "config", "config.h"), encoding="utf-8") as file:
        assert f'"lease_ms", "{scaling.HEARTBEAT_S * 3000}"' in file.read()
