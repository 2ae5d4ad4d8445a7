#!/usr/bin/python3
"""chaos: chaos.py BUILD [SECONDS] [--seed N] [--store redis|sqlite|both].

Clients whose answers are known (chaos_load.py) produce load.  Meanwhile servers, workers, root sides and Redis are
killed, stopped, disconnected and restarted (chaos_fleet.py), and have no descriptors, memory or disk left for a while,
by a plan that depends on the seed alone.  Then everything is repaired and checked:

  - every accepted submission (200 seen) has ended, with the right answer, or as cancelled if a client asked for that;
  - a result that a client has seen never changes;
  - no process was ended by a signal that this program did not send;
  - the store counts nothing as waiting or running, all processes stop with status 0, no process or cgroup remains.

Redis runs with appendonly yes and appendfsync always, because promise 1 (docs/design/STORE.md) depends on them when
Redis is killed.  The fleet has a network namespace, and every server and worker has another, joined by veth; packets of
a disconnected process are lost silently.  Without veth nothing is disconnected, and the output mentions it.
Leases are short (2 s) and 100 attempts are allowed; the limit of attempts is tested in tests/contract/dead.c.
Both stores are tested at the same time.  The last line is "N passed, N failed", with one test for each store.
"""
import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import chaos_load

LEASE_MS = 2000
SETTINGS = {"EVALX_LEASE_MS": str(LEASE_MS), "EVALX_ATTEMPTS_MAX": "100", "EVALX_RETURNS_MAX": "1000",
            "RESULT_TTL_SECONDS": "86400", "EVALX_DRAIN_SECONDS": "5", "EVALX_SANDBOX_EXIT_SECONDS": "10"}
DISK_MIB = 256  # of the data folder of the server with SQLite
APIS, WORKERS = 2, 3
SETTLE_SECONDS = 120
# Weight, target, fault, and its longest duration in seconds.  The main process, the launcher and the supervisor of the
# launcher are killed separately, because each must cope with the loss of the others.
FLEET_FAULTS = [
    (4, "worker", "kill main", 2.0), (2, "worker", "kill launcher", 0), (2, "worker", "kill supervisor", 0),
    (2, "worker", "kill everything", 2.0), (3, "worker", "stop main", 6.0), (2, "worker", "stop everything", 5.0),
    (2, "worker", "drain", 1.0), (4, "worker", "cut", 6.0), (2, "worker", "kill launcher twice", 0),
    (2, "worker", "kill slots twice", 0), (1, "worker", "kill supervisor twice", 0),
    (2, "worker", "starve files", 3.0), (2, "worker", "starve memory", 3.0), (1, "api", "starve memory", 3.0),
    (3, "api", "kill main", 1.5), (2, "api", "stop main", 4.0), (3, "api", "cut", 5.0), (1, "api", "drain", 1.0),
    (4, "redis", "kill main", 2.5), (3, "redis", "stop main", 6.5), (1, "fleet", "kill main", 2.0),
]
SQLITE_FAULTS = [
    (5, "server", "kill main", 1.5), (5, "server", "kill everything", 1.5), (2, "server", "kill launcher", 0),
    (2, "server", "kill supervisor", 0), (2, "server", "stop main", 4.0), (1, "server", "stop everything", 4.0),
    (2, "server", "drain", 1.0), (2, "server", "kill launcher twice", 0), (2, "server", "kill slots twice", 0),
    (1, "server", "kill supervisor twice", 0), (2, "server", "starve files", 3.0), (2, "server", "starve memory", 3.0),
    (2, "server", "fill disk", 3.0),
]


def say(text):
    print(f"[{time.monotonic() - say.begin:6.1f} s] {say.store}: {text}", flush=True)


say.begin, say.store = time.monotonic(), "both"


def make_plan(seed, seconds, faults, counts, mean_s, may_cut):
    """[(when, target, what, how long)], from the seed alone.  A target has one fault at a time."""
    rng = random.Random(f"{seed} plan")
    faults = [fault for fault in faults if may_cut or fault[2] != "cut"]
    plan, free_at, now = [], {}, 1.5
    while now < seconds:
        _, group, what, longest = rng.choices(faults, [fault[0] for fault in faults])[0]
        target = group + (str(rng.randrange(counts[group])) if counts[group] > 1 else "")
        lasts = rng.uniform(0.1, longest) if longest else 0.0
        if now >= free_at.get(target, 0) and now >= free_at.get("fleet", 0):
            plan.append((now, target, what, lasts))
            free_at[target] = now + lasts + 0.5
        now += rng.expovariate(1 / mean_s)
    return plan


class Host:
    """The processes of one run, by the names the plan uses."""

    def __init__(self, folder, store, may_cut):
        self.links, self.redis, self.disk = [], None, None
        if store == "sqlite":
            self.apis = [fleet.Node("server", ["server"], folder, SETTINGS)]
            self.nodes = list(self.apis)
            self.disk = fleet.Disk(self.apis[0].data, DISK_MIB)
        else:
            host = "127.0.0.1"
            if may_cut:
                fleet.make_bridge()
                host = fleet.HOST
                self.links = [fleet.Link(i) for i in range(APIS + WORKERS)]
            self.redis = harness.Redis(folder)
            at = self.redis.command.index("--bind")
            self.redis.command[at + 1:at + 2] = ["127.0.0.1", host] if may_cut else ["127.0.0.1"]
            self.redis.command += ["--protected-mode", "no"]
            env = {**SETTINGS, "REDIS_HOST": host, "REDIS_PORT": str(self.redis.port)}
            links = self.links or [None] * (APIS + WORKERS)
            self.apis = [fleet.Node(f"api{i}", ["server"], folder, env, links[i]) for i in range(APIS)]
            self.nodes = self.apis + [fleet.Node(f"worker{i}", ["worker"], folder, env, links[APIS + i])
                                      for i in range(WORKERS)]
        self.processes = ([self.redis] if self.redis else []) + self.nodes
        self.by_name = {process.name: [process] for process in self.processes}
        self.by_name["fleet"] = self.processes
        self.manager = fleet.ServiceManager(self.processes)

    def start(self):
        for process in self.processes:
            process.start()
        for node in self.nodes:
            node.wait_ready("/healthz")
        self.manager.start()

    def hurt(self, target, what, lasts):
        """Causes a fault, waits, and repairs it."""
        manager, processes, reached = self.manager, self.by_name[target], []
        verb, _, whom = what.partition(" ")
        if what.endswith(" twice"):
            whom = whom.removesuffix(" twice")
            for _ in range(2):
                manager.signal(processes[0], signal.SIGKILL, whom)
                manager.wait_root_side(processes[0])
            return
        if verb in ("starve", "fill"):
            with self.disk.filled() if verb == "fill" else manager.starved(processes[0], whom):
                time.sleep(lasts)
            return
        for process in processes:
            if lasts and verb in ("kill", "drain"):
                manager.hold(process)
            if verb == "cut":
                process.link.cut()
            elif verb == "drain":
                manager.signal(process, signal.SIGTERM)
            else:
                reached += manager.signal(process, signal.SIGKILL if verb == "kill" else signal.SIGSTOP, whom)
        time.sleep(lasts)
        if verb == "stop":
            manager.resume(reached)
        for process in processes:
            if verb == "cut":
                process.link.heal()
            elif verb == "drain":
                process.wait(30)
                manager.release(process)
            elif lasts:
                manager.release(process)

    def follow(self, plan, seconds):
        """Follows the plan with a thread for each fault.  Returns when the last fault is repaired."""
        begin, threads, failures = time.monotonic(), [], []

        def one(fault):
            try:
                self.hurt(*fault)
            except BaseException as error:  # noqa: B902 - reported at the end
                failures.append(f"{fault}: {error!r}")

        for when, *fault in plan:
            time.sleep(max(0.0, begin + when - time.monotonic()))
            say(f"{fault[0]}: {fault[1]}" + (f" for {fault[2]:.1f} s" if fault[2] else ""))
            threads.append(threading.Thread(target=one, args=(fault,), daemon=True))
            threads[-1].start()
        time.sleep(max(0.0, begin + seconds - time.monotonic()))
        for thread in threads:
            thread.join()
        return failures

    def heal(self):
        """Brings everything up again.  Returns the names of processes that do not come up."""
        for link in self.links:
            link.heal()
        try:
            for node in self.nodes:
                harness.wait_until(f"{node.name} is back", lambda n=node: n.running() and n.answers("/healthz"), 60)
        except AssertionError as error:
            return [str(error)]
        return []

    def close(self):
        """Stops all processes in order.  Returns the problems."""
        self.manager.close()
        problems = list(self.manager.faults)
        for node in reversed(self.nodes):
            self.manager.note(node)
            status = node.stop()
            if status != 0:
                problems.append(f"{node.name} ended with status {status}:\n{node.log()[-2000:]}")
        for node in self.nodes:
            try:
                node.assert_nothing_left()
            except AssertionError as error:
                problems.append(str(error))
        problems += self.store_left()
        problems += self.cgroups_left()
        if self.redis:
            self.redis.stop()
        for pid, start in self.manager.known:
            if fleet.start_of(pid) == start:
                problems.append(f"process {pid} is left")
        return problems

    def cgroups_left(self):
        """A supervisor removes its groups.  If it is killed, the next start on the host removes them."""
        pids = set().union(*(node.seen_pids for node in self.nodes))
        if not harness.cgroups_of(pids):
            return []
        last = self.nodes[-1]
        last.start()
        last.wait_ready("/healthz")
        last.stop()
        left = harness.cgroups_of(pids | last.seen_pids)
        return [f"cgroups are left, also after the next start: {left}"] if left else []

    def store_left(self):
        """What the store still counts after everything has ended."""
        if self.redis is None:
            with sqlite3.connect(os.path.join(self.nodes[0].data, "evalx.db")) as db:
                rows = db.execute("select token, state from submission where state in (0, 1)").fetchall()
            return [f"SQLite still has {len(rows)} that wait or run: {rows[:5]}"] if rows else []
        found = {"depth": self.redis.call("HGETALL", "{evalx}:depth"), "leases": self.redis.call("ZCARD",
                                                                                                 "{evalx}:leases")}
        # No worker is left and nothing waits, so only "slots 0" may be counted.
        fine = found["leases"] == b":0\r\n" and not [w for w in (b"waiting", b"w:", b"r:") if w in found["depth"]]
        return [] if fine else [f"Redis still counts: {found}"]

    def kill(self):
        """Ends all processes, whatever happened before."""
        self.manager.ending.set()
        for process in self.processes:
            if process.running():
                self.manager.signal(process, signal.SIGCONT, "everything")
                process.kill9()
        for link in self.links:
            link.close()
        if self.disk:
            self.disk.close()

    def lose_data(self):
        """Deletes the data folder under a running server.  Soon it accepts nothing, and it answers nothing wrong."""
        server = self.nodes[0]
        server.start()
        server.wait_ready()
        client, problems = server.client(), []
        token = client.run(chaos_load.ONE)["token"]
        self.disk.empty()
        try:
            harness.wait_until("it is not ready", lambda: client.get("/readyz").status == 503, 60)
        except AssertionError as error:
            problems.append(f"without its data folder: {error}")
        for _ in range(20):
            answer = client.post("/execute/batch", chaos_load.ONE)
            if answer.status != 503:
                problems.append(f"without its data folder it answered {answer.status}: {answer.text[:200]}")
            answer = client.get(f"/submissions/{token}")
            if answer.status != 503 and answer.json().get("status") != "Completed":
                problems.append(f"without its data folder, a result: {answer.status} {answer.text[:200]}")
        server.stop()
        return problems


def run(options):
    may_cut = options.store == "redis" and os.environ.get("EVALX_CHAOS_NETWORK") == "own"
    if options.store == "redis" and not may_cut:
        say("no veth on this machine, so nothing is disconnected")
    folder = harness.make_folder()
    host = Host(folder, options.store, may_cut)
    faults = SQLITE_FAULTS if options.store == "sqlite" else FLEET_FAULTS
    counts = {"worker": WORKERS, "api": APIS, "redis": 1, "fleet": 1, "server": 1}
    plan = make_plan(options.seed, options.seconds, faults, counts, options.every, may_cut)
    say(f"seed {options.seed}, {options.seconds:g} s, {len(plan)} faults")
    problems, load = [], None
    try:
        host.start()
        urls = [node.url for node in host.apis]
        load = chaos_load.Load(urls, options.clients, options.seed, harness.Client)
        load.start()
        problems += host.follow(plan, options.seconds)
        load.stop()
        problems += host.heal()
        left = sum(1 for one in load.accepted if one.ended is None)
        say(f"everything is repaired, {left} of {len(load.accepted)} still to end")
        load.settle(SETTLE_SECONDS)
        problems += load.problems()
        problems += host.close()
        if host.disk:
            problems += host.lose_data()
        for process in host.processes if problems or options.keep else []:
            print(f"--- log of {process.name}\n{process.log()[-4000 if not options.keep else 0:]}")
    finally:
        host.kill()
        harness.remove_folder(folder)
    cancelled = sum(1 for one in load.accepted if one.ended and one.ended["status"] == "Failed")
    say(f"accepted {len(load.accepted)}, finished {sum(1 for one in load.accepted if one.ended)} "
        f"(cancelled {cancelled}), {load.counts['polls']} polls, {load.counts['refused']} refused, "
        f"{load.counts['broken']} connections broken, {host.manager.restarts} restarts")
    if not load.accepted:
        problems.append("nothing was accepted")
    for problem in problems[:30]:
        print(f"WRONG: {problem}")
    say(f"{len(problems)} wrong, seed {options.seed}" if problems else "all right")
    return 1 if problems else 0


def has_veth():
    probe = ["unshare", "--net", "ip", "link", "add", "name", "evx0", "type", "veth", "peer", "name", "evx1"]
    try:
        return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def begin_one(options, store):
    """Starts this program for one store.  The one for Redis gets a network namespace without a route to others."""
    own = store == "redis" and has_veth()
    command = [*(["unshare", "--net"] if own else []), sys.executable, os.path.abspath(__file__), options.build,
               str(options.seconds), "--seed", str(options.seed), "--store", store, "--clients", str(options.clients),
               "--every", str(options.every), *(["--keep"] if options.keep else [])]
    env = {**os.environ, "EVALX_CHAOS_NETWORK": "own" if own else "shared"}
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)


def run_each(options):
    """Runs all stores and prints the plain count.  Returns the exit status."""
    stores = ["sqlite", "redis"] if options.store == "both" else [options.store]
    say(f"seed {options.seed}; the same again: ./dev chaos {options.seconds:g} --seed {options.seed} "
        f"--store {options.store}")
    ones = {store: begin_one(options, store) for store in stores}
    try:
        failed = [store for store, one in ones.items() if one.wait() != 0]
    except BaseException:
        for one in ones.values():
            one.terminate()
        for one in ones.values():
            one.wait()
        raise
    for store in failed:
        print(f"FAILED:  chaos {store} (seed {options.seed})")
    print(f"{len(ones) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def main(argv):
    parser = argparse.ArgumentParser(description="kills, stops and disconnects processes under load")
    parser.add_argument("build")
    parser.add_argument("seconds", nargs="?", type=float, default=600)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--store", choices=["redis", "sqlite", "both"], default="both")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--every", type=float, default=1.7, help="seconds between two faults, on average")
    parser.add_argument("--keep", action="store_true", help="print all logs")
    options = parser.parse_args(argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    if "EVALX_CHAOS_NETWORK" not in os.environ:
        return run_each(options)
    global fleet, harness
    os.environ["EVALX_BINARY"] = os.path.abspath(os.path.join(options.build, "evalx"))
    import chaos_fleet as fleet  # noqa: E402 - it reads where the binary is
    harness = fleet.harness
    say.store = options.store
    return run(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
