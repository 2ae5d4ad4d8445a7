#!/usr/bin/python3
"""Simulates the scaling rules of workers under several loads, including the delays of metrics.

  scaling.py [--boot SECONDS] [--slots N] [--max N] [--picture FILE.svg]

The rules are read from deploy/aws/service.yaml: thresholds, steps, warm-up, target, metric and statistic.  The
behaviour of AWS itself is modelled here and listed in AWS_RULES.  Three sets of rules are compared:

  bare step   +2 for each minute that the queue is long, as a first attempt might: no warm-up, nothing scales in
  step        the step policy of service.yaml alone: warm-up and larger steps, nothing scales in
  ours        service.yaml unchanged: step policy and target tracking

Needs python3-yaml, and python3-matplotlib for a picture.
"""
import argparse
import collections
import math
import os
import random
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "aws"))
import templates  # noqa: E402

SCRAPE_S = 30             # as in prometheus.yaml; a test compares them
HEARTBEAT_S = 5           # a worker reports its busy slots; a third of lease_ms; a test compares them
AWS_RULES = {
    "agent_batch_s": 30,  # the agent sends scraped metrics in batches
    "ingest_s": 5,        # CloudWatch ingests a record
    "evaluate_s": 10,     # from the end of a minute until its alarms are evaluated
    "track_out": 3,       # minutes in a row above the target before tracking adds workers
    "track_in": 15,       # minutes in a row below 0.9 of it before tracking removes some
    "track_in_share": 0.9,
    "in_at_once": 0.1,    # share of the fleet, but at least one worker, in a minute: "scales in gradually"
}
API_SERVERS = 2
JOB_S = 2.0               # mean time of a job; exponential, at most a minute


# ---- the rules in service.yaml ----

class Figure(float):
    """A number in metric math.  A division by zero gives no value and is no error."""

    def __add__(self, other):
        return Figure(float(self) + other)

    def __truediv__(self, other):
        return Figure(float(self) / other if other else math.nan)


class Rules:
    """Numbers of the step policy, its alarm and the tracking."""

    def __init__(self, template=None):
        template = template or templates.load("service.yaml")
        resources, parameters = template["Resources"], template["Parameters"]
        alarm, step = (resources[name]["Properties"] for name in ("WorkerStepAlarm", "WorkerStep"))
        tracking = resources["WorkerTracking"]["Properties"]["TargetTrackingConfiguration"]
        assert alarm["MetricName"] == "evalx_queue_depth" and alarm["Period"] == 60
        self.depth, self.depth_stat = alarm["Threshold"], alarm["Statistic"]
        self.depth_minutes = alarm["EvaluationPeriods"]
        self.steps = [(s["MetricIntervalLowerBound"], s.get("MetricIntervalUpperBound", math.inf),
                       s["ScalingAdjustment"]) for s in step["StepAdjustments"]]
        self.warmup_s = parameters[step["EstimatedInstanceWarmup"]["Ref"]]["Default"]
        self.target = tracking["TargetValue"]
        metrics = tracking["CustomizedMetricSpecification"]["Metrics"]
        self.track_stat = {m["Id"]: m["MetricStat"]["Stat"] for m in metrics if "MetricStat" in m}
        self.expressions = [(m["Id"], m["Expression"], m["ReturnData"]) for m in metrics if "Expression" in m]

    def load(self, queued, busy, slots):
        """The metric of target tracking, from the metric math expressions of the template."""
        names = {"queued": Figure(queued), "busy": Figure(busy), "slots": Figure(slots),
                 "IF": lambda condition, yes, no: Figure(yes if condition else no), "__builtins__": {}}
        for name, expression, is_shown in self.expressions:
            names[name] = eval(expression, names)  # the template is trusted
            if is_shown:
                return names[name]
        raise AssertionError("no expression is shown")

    def step_for(self, value):
        for low, high, adjustment in self.steps:
            if low <= value - self.depth < high:
                return adjustment
        return 0


# ---- the fleet ----

class Worker:
    def __init__(self, now, boot_s):
        self.began, self.ready, self.drains, self.ended = now, now + boot_s, None, None
        self.ends = []      # the end times of its submissions
        self.told = 0       # the mean number of busy slots between its last two heartbeats
        self.worked = 0     # slot seconds since the last heartbeat


class Fleet:
    """Workers with slots, one queue, first come first served; a second is the smallest step.

    A submission keeps settings.width slots of its worker busy at once: one, or more where it has many tests.
    """

    def __init__(self, arrivals, settings, rules, policy):
        self.arrivals, self.settings, self.rules, self.policy = arrivals, settings, rules, policy
        self.random = random.Random(7)
        self.now, self.queue, self.waits, self.gone = 0, collections.deque(), [], []
        self.workers = [Worker(-10_000, 0) for _ in range(settings.min)]
        for worker in self.workers:
            worker.began = 0
        self.desired = settings.min
        self.samples = collections.defaultdict(list)    # minute: [(queued, busy, slots, when it arrives)]
        self.minutes, self.changes, self.history = [], [], []

    def of(self, kind):
        kept = {"serving": lambda w: w.ready <= self.now and w.drains is None,
                "warming": lambda w: w.drains is None and self.now < w.began + self.rules.warmup_s and w.began > 0,
                "wanted": lambda w: w.drains is None}[kind]
        return [worker for worker in self.workers if kept(worker)]

    def work(self):
        for _ in range(next(self.arrivals)):
            self.queue.append(self.now)
        for worker in self.workers:
            worker.ends = [end for end in worker.ends if end > self.now]
        for worker in self.of("serving"):
            while self.queue and (len(worker.ends) + 1) * self.settings.width <= self.settings.slots:
                self.waits.append(self.now - self.queue.popleft())
                worker.ends.append(self.now + min(60.0, self.random.expovariate(1 / JOB_S)))
        for worker in self.workers:
            worker.worked += len(worker.ends) * self.settings.told_width
            if (self.now - worker.ready) % HEARTBEAT_S == 0:
                worker.told, worker.worked = worker.worked / HEARTBEAT_S, 0
        for worker in [w for w in self.workers if w.drains is not None and not w.ends]:
            worker.ended = self.now
            self.workers.remove(worker)
            self.gone.append(worker)

    def scrape(self):
        for server in range(API_SERVERS):
            if self.now % SCRAPE_S == server * 13 % SCRAPE_S:
                serving = self.of("serving")
                delay = self.random.uniform(0, AWS_RULES["agent_batch_s"]) + AWS_RULES["ingest_s"]
                self.samples[self.now // 60].append((len(self.queue), sum(w.told for w in self.workers),
                                                     self.settings.slots * len(serving), self.now + delay))

    def figure(self, minute, index, statistic):
        """The statistic of one minute from the values that have arrived by now, or None."""
        found = [sample[index] for sample in self.samples.get(minute, ()) if sample[3] <= self.now]
        if not found:
            return None
        return max(found) if statistic == "Maximum" else sum(found) / len(found)

    def set_desired(self, wanted, why):
        wanted = max(self.settings.min, min(self.settings.max, wanted))
        if wanted == self.desired:
            return
        self.changes.append((self.now, wanted - self.desired, why))
        for _ in range(wanted - self.desired):
            self.workers.append(Worker(self.now, self.settings.boot))
        for worker in sorted(self.of("wanted"), key=lambda w: w.began)[:max(0, self.desired - wanted)]:
            worker.drains = self.now
        self.desired = wanted

    def scale(self):
        """Runs once a minute, for the last minute whose values have had time to arrive."""
        if self.now % 60 != AWS_RULES["evaluate_s"] or self.now < 60:
            return
        minute = self.now // 60 - 1
        depth = self.figure(minute, 0, self.rules.depth_stat)
        warming = len(self.of("warming"))
        if depth is not None and depth > self.rules.depth:
            if self.policy == "bare step":
                self.set_desired(self.desired + 2, "step")
            else:  # instances that are warming up count towards the step
                self.set_desired(self.desired + max(0, self.rules.step_for(depth) - warming), "step")
        if self.policy == "ours":
            self.track(minute, warming)

    def track(self, minute, warming):
        stats = self.rules.track_stat
        figures = [self.figure(minute, i, stats[name]) for i, name in enumerate(("queued", "busy", "slots"))]
        if None in figures:
            return
        self.minutes.append(self.rules.load(*figures))
        base = len(self.of("wanted")) - warming
        needed = math.ceil(base * self.minutes[-1] / self.rules.target - 1e-9)
        last = self.minutes[-AWS_RULES["track_out"]:]
        if len(last) == AWS_RULES["track_out"] and min(last) > self.rules.target:
            self.set_desired(max(self.desired, needed), "tracking")
        last = self.minutes[-AWS_RULES["track_in"]:]
        is_low = len(last) == AWS_RULES["track_in"] and max(last) < self.rules.target * AWS_RULES["track_in_share"]
        if is_low and warming == 0:
            least = self.desired - max(1, int(self.desired * AWS_RULES["in_at_once"]))
            self.set_desired(max(min(needed, self.desired), least), "tracking")

    def run(self, seconds):
        for self.now in range(seconds):
            self.work()
            self.scrape()
            self.scale()
            if self.now % 10 == 0:
                self.history.append((self.now, len(self.queue), len(self.of("serving")), self.desired))
        return self

    # ---- results ----

    def instance_hours(self):
        return sum((w.ended if w.ended is not None else self.now) - w.began for w in self.workers + self.gone) / 3600

    def wait_at(self, share):
        waits = sorted(self.waits + [self.now - at for at in self.queue])
        return waits[min(len(waits) - 1, int(len(waits) * share))] if waits else 0

    def flaps(self, within_s=1800, after_s=0):
        """How often a worker was removed and another added soon after, or added and soon removed."""
        kept = [change for change in self.changes if change[0] >= after_s]
        pairs = zip(kept, kept[1:])
        return sum(1 for (t, by, _), (u, more, _) in pairs if by * more < 0 and u - t < within_s)


# ---- loads: new jobs in each second ----

def poisson(rate, source):
    """The number of jobs in a second: Knuth's method, in parts so that e^-rate does not underflow."""
    count = 0
    while rate > 0:
        part = min(rate, 20.0)
        rate -= part
        limit, product = math.exp(-part), source.random()
        while product > limit:
            count += 1
            product *= source.random()
    return count


def arrivals(rate_at, seed=1):
    source, second = random.Random(seed), 0
    while True:
        yield poisson(rate_at(second), source)
        second += 1


LOADS = {  # name: (seconds, jobs a second at a second)
    "steady": (10800, lambda t: 6.0),
    "bursts": (10800, lambda t: 20.0 if t % 3600 in range(600, 720) else 0.3),
    "rise and drop to zero": (10800, lambda t: 12.0 if 600 <= t < 6000 else 0.0),
    "a day in three hours": (10800, lambda t: 4.0 * (1 - math.cos(2 * math.pi * t / 10800))),
    "on and off": (10800, lambda t: 6.0 if t // 300 % 2 else 0.5),
}
POLICIES = ("bare step", "step", "ours")


class Settings:
    def __init__(self, boot=90, slots=2, least=1, most=20, width=1, told_width=None):
        self.boot, self.slots, self.min, self.max, self.width = boot, slots, least, most, width
        # To show the effect of counting submissions instead of slots: each submission counts as 1.
        self.told_width = told_width or width


def simulate(load, policy, settings=None, rules=None, seed=1):
    seconds, rate_at = LOADS[load] if isinstance(load, str) else load
    return Fleet(arrivals(rate_at, seed), settings or Settings(), rules or Rules(), policy).run(seconds)


def table(found):
    yield (f"{'load':24}{'rules':11}{'jobs':>7}{'wait p50':>9}{'p95':>7}{'p99':>7}{'max':>7}{'hours':>8}{'most':>6}"
           f"{'changes':>9}")
    for (load, policy), fleet in found.items():
        most = max(count for _, _, count, _ in fleet.history)
        waits = [f"{fleet.wait_at(share):.0f}s" for share in (.5, .95, .99, 1)]
        yield (f"{load:24}{policy:11}{len(fleet.waits):7}{waits[0]:>9}{waits[1]:>7}{waits[2]:>7}{waits[3]:>7}"
               f"{fleet.instance_hours():8.1f}{most:6}{len(fleet.changes):9}")


def draw(found, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "evalx"  # the same picture is the same file
    from matplotlib import pyplot
    colors = {"bare step": "#c44e52", "step": "#dd8452", "ours": "#4c72b0"}
    figure, axes = pyplot.subplots(len(LOADS), 2, figsize=(11, 2.3 * len(LOADS)), sharex=True)
    for row, (load, (_, rate_at)) in zip(axes, LOADS.items()):
        for policy in POLICIES:
            history = found[load, policy].history
            minutes = [t / 60 for t, *_ in history]
            row[0].plot(minutes, [count for _, _, count, _ in history], color=colors[policy], label=policy, lw=1.3)
            row[1].plot(minutes, [queue for _, queue, _, _ in history], color=colors[policy], label=policy, lw=1.3)
        row[0].plot(minutes, [rate_at(t) * JOB_S / 2 for t, *_ in history], color="#999999", lw=.8, ls=":",
                    label="needed at least")
        row[0].set_title(f"{load}: workers", fontsize=9, loc="left")
        row[1].set_title(f"{load}: waiting jobs", fontsize=9, loc="left")
        row[1].set_yscale("symlog", linthresh=10)
        for axis in row:
            axis.grid(alpha=.3)
            axis.set_ylim(bottom=0)
            axis.tick_params(labelsize=8)
    axes[0][0].legend(fontsize=7, loc="lower right", ncols=2)
    for axis in axes[-1]:
        axis.set_xlabel("minutes", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boot", type=int, default=90, help="seconds from an instance's start to its first job")
    parser.add_argument("--slots", type=int, default=2, help="slots of a worker")
    parser.add_argument("--max", type=int, default=20, help="maximum number of workers")
    parser.add_argument("--picture", help="file for an SVG")
    options = parser.parse_args()
    settings = Settings(boot=options.boot, slots=options.slots, most=options.max)
    found = {(load, policy): simulate(load, policy, settings) for load in LOADS for policy in POLICIES}
    print("\n".join(table(found)))
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
