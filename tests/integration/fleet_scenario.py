"""Run by test_fleet.py inside a network namespace: one Redis, two API servers and three workers, each in another
network namespace, joined by a bridge.

Every program sleeps, so slots and not processors are scarce, and throughput is proportional to the number of slots.
Workers are added while submissions wait and removed later: one is stopped by SIGTERM, one is killed.
"""
import os
import sys
import time

import harness

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "system", "chaos"))
import chaos_fleet as chaos  # noqa: E402

JOBS = 240
SLEEP_S = 0.5
SLOTS = 2
WINDOW_S = 6.0
PROGRAM = f"read -r n\nsleep {SLEEP_S}\necho $((n * n + 7))\n"


class Network:
    """The machines by name, each in its own namespace."""

    def __init__(self, folder):
        chaos.make_bridge()
        self.folder, self.links, self.nodes = folder, [], {}
        link = self.link()
        self.redis = harness.Redis(folder)
        self.redis.move(link.address)
        self.redis.command = [*link.enter, *self.redis.command, "--protected-mode", "no"]
        self.env = {"EVALX_STORE": f"redis://{link.address}:{self.redis.port}", "EVALX_SLOTS": str(SLOTS),
                    "EVALX_LEASE_MS": "3000"}

    def link(self):
        self.links.append(chaos.Link(len(self.links)))
        return self.links[-1]

    def start(self, name, command):
        node = chaos.Node(name, [command], self.folder, self.env, self.link())
        self.nodes[name] = node
        return node.start().wait_ready("/healthz")

    def stop(self):
        nodes = list(self.nodes.values())
        problems = harness.stop_all([*reversed(nodes), self.redis], nodes)
        for link in self.links:
            link.close()
        return problems

    def tell(self):
        for process in [self.redis, *self.nodes.values()]:
            print(f"--- log of {process.name}\n{process.log()[-2000:]}")


def left(client):
    """The number of submissions that wait or run, from the metrics that scaling uses."""
    page = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line.startswith("evalx_"))
    return int(page["evalx_queue_depth"]) + int(page["evalx_jobs_running"])


def rate(client):
    """Submissions finished per second in one window.  The metrics may be a second old at both ends of it."""
    begin, before = time.monotonic(), left(client)
    time.sleep(WINDOW_S)
    done = before - left(client)
    return done / (time.monotonic() - begin)


def scenario(network):
    network.redis.start()
    servers = [network.start(f"api{i}", "server") for i in range(2)]
    network.start("worker0", "worker")
    clients = [server.client() for server in servers]
    tokens = [clients[n % 2].submit({"language": "bash", "version": "latest", "code": PROGRAM, "timeout": 10,
                                      "stdin": f"{n}\n"}, "/execute")
              for n in range(JOBS)]
    rates = [rate(clients[0])]
    for number in (1, 2):
        network.start(f"worker{number}", "worker")
        time.sleep(1.5)
        rates.append(rate(clients[number % 2]))
    print("finished in a second with one, two and three workers: " + ", ".join(f"{each:.1f}" for each in rates))
    assert left(clients[0]) > 0, "the queue was empty before the end: nothing was measured"
    assert rates[1] > 1.5 * rates[0] and rates[2] > 2.0 * rates[0], rates
    assert left(clients[0]) == left(clients[1]) or abs(left(clients[0]) - left(clients[1])) < 20

    print(f"{left(clients[0])} wait or run as two workers go")
    network.nodes["worker1"].terminate()    # finishes its running jobs
    network.nodes["worker2"].kill9()        # its submissions are claimed by others when its leases have expired
    assert network.nodes["worker1"].wait() == 0
    for n, token in enumerate(tokens):      # from the other server than the one that accepted it
        found = clients[(n + 1) % 2].poll(token, 90)
        [result] = found["results"]
        assert found["status"] == "Completed" and result["stdout"].strip() == str(n * n + 7), (n, found)
    harness.wait_until("the figures say that nothing is left", lambda: left(clients[0]) == 0)
    page = clients[1].get("/metrics").text
    assert "\nevalx_dead_submissions 0\n" in page and f"\nevalx_slots {SLOTS}\n" in page
    print(f"{JOBS} of {JOBS} answers are right; two workers went, one of them killed")
    for client in clients:
        client.close()


def main(folder):
    network = Network(folder)
    try:
        scenario(network)
    except BaseException:
        network.tell()
        raise
    finally:
        problems = network.stop()
    assert not problems, problems


if __name__ == "__main__":
    main(sys.argv[1])
