"""Run by test_faults.py inside a network namespace without a route to others.  Redis is in another one, connected by
veth.  The scenario drops its packets silently in both directions."""
import os
import sys
import time

import harness

sys.path.insert(0, os.path.join(harness.ROOT, "tests", "system", "chaos"))
import chaos_fleet as fleet  # noqa: E402
import test_faults as faults  # noqa: E402


def main(folder):
    fleet.make_bridge()
    link = fleet.Link(0)
    redis = harness.Redis(folder)
    redis.move(link.address)
    redis.command = [*link.enter, *redis.command, "--protected-mode", "no"]
    env = {"EVALX_STORE": f"redis://{link.address}:{redis.port}", "EVALX_LEASE_MS": "30000"}
    api = harness.Evalx("api", ["server"], folder, env)
    worker = harness.Evalx("worker", ["worker"], folder, env)
    try:
        redis.start()
        api.start()
        worker.start()
        api.wait_ready("/healthz")
        worker.wait_ready("/healthz")
        client = api.client()
        running = client.submit(faults.echo(6, 2))
        faults.wait_processing(client, running)
        link.cut()
        for _ in range(3):
            begin = time.monotonic()
            faults.assert_refused(api, client, "POST", "/execute/batch", "Redis", faults.echo(1))
            faults.assert_refused(api, client, "GET", f"/submissions/{running}", "Redis")
            print(f"cut off: a POST and a GET were refused within {time.monotonic() - begin:.2f} s")
        time.sleep(2)  # its run has ended
        link.heal()
        begin = time.monotonic()
        again = faults.back_again(client)
        print(f"healed: accepted again after {time.monotonic() - begin:.2f} s")
        faults.assert_echo(client, again, 77)
        faults.assert_echo(client, running, 6)
        assert faults.attempts_of(redis, running) == b"$1\r\n1\r\n", "it was run again"
        client.close()
    except BaseException:
        for process in (redis, api, worker):
            print(f"--- log of {process.name}\n{process.log()[-3000:]}")
        raise
    finally:
        problems = harness.stop_all([worker, api, redis], [worker, api])
        link.close()
    assert not problems, problems


if __name__ == "__main__":
    main(sys.argv[1])
