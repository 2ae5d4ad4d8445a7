"""compose: tests deploy/compose.yaml with a Docker engine: networks, restarts, volumes, scaling.

Called by compose.sh; see engine.py.
"""
import http.client
import json
import re
import sys
import time

import engine
from engine import check

RELAY = 3001  # forwards from the machine's address to the published port, which listens only on loopback
SERVICES = ("redis", "api", "worker")
OUTSIDE = "10.0.2.15"  # the machine's address
VERDICTS = (
    # code, more of the program, verdict (or several), output (None: any)
    ("read a; echo $((a * a))", {"stdin": "7\n", "expected_output": "49\n"}, "accepted", "49\n"),
    ("read a; echo $((a * a))", {"stdin": "12\n", "expected_output": "145\n"}, "wrong_answer", "144\n"),
    ("while :; do :; done", {"timeout": 1}, "time_limit", ""),
    ("x=x; while :; do x=$x$x; done", {"memory_limit": "64m", "timeout": 60}, "memory_limit", ""),
    ("yes", {"timeout": 60}, "output_limit", None),
    ("exit 3", {}, "runtime_error", ""),
    ("bomb() { bomb | bomb & }\nbomb\nwait", {"limits": {"processes": 24, "cpu_time_ms": 4000, "wall_time_ms": 15000}},
     "accepted runtime_error time_limit output_limit", None),
    ("cat /run/secrets/redis-password 2>/dev/null && echo leaked || echo hidden", {}, "accepted", "hidden\n"),
    ("echo >/etc/written 2>/dev/null && echo written || echo refused", {}, "accepted", "refused\n"),
)


class Compose(engine.Engine):
    PORT = RELAY
    PORTS = (RELAY, 3000)

    # ---- the containers ----

    def compose(self, words, seconds=300):
        return self.sh(f"cd /srv/evalx && docker compose -f deploy/compose.yaml {words}", seconds)

    def inspect(self, container, what):
        return self.sh(f"docker inspect -f '{{{{{what}}}}}' {container}")

    def state(self, container):
        """What the engine reports: status, health, restarts and the id of the main process."""
        shown = self.run(f"docker inspect -f '{{{{.State.Status}}}} {{{{.State.Health.Status}}}} {{{{.RestartCount}}}} "
                         f"{{{{.State.Pid}}}}' {container}")[1].split()
        if len(shown) != 4:
            return {"status": "none", "health": "none", "restarts": 0, "pid": 0}
        return {"status": shown[0], "health": shown[1], "restarts": int(shown[2]), "pid": int(shown[3])}

    def inside(self, service, script, seconds=60):
        """Exit status and output of a script in a service's container."""
        return self.run(f"docker exec deploy-{service}-1 timeout 20 bash -c '{script}' 2>&1", seconds)

    def reaches(self, service, address, port):
        return self.inside(service, f"exec 3<>/dev/tcp/{address}/{port}")[0] == 0

    def wait_healthy(self, *services, seconds=240):
        for service in services or SERVICES:
            self.wait(f"{service} is healthy", lambda s=service: self.state(f"deploy-{s}-1")["health"] == "healthy",
                      seconds)

    def all_up(self, seconds=300):
        self.wait_ready(seconds)
        self.wait_healthy()

    def wait_store(self):
        self.wait_healthy("redis")
        self.wait("the API reaches Redis", lambda: self.answers("/queue"))

    def workers(self):
        return json.loads(self.ask("GET", "/workers")[1])

    def wait_workers(self, count, seconds=240):
        self.wait(f"{count} at work", lambda: len(self.workers()) == count, seconds)

    def kill_main(self, service):
        """Kills the main process of a container; the restart policy brings it back."""
        before = self.state(f"deploy-{service}-1")
        check(before["status"] == "running" and before["pid"] > 1, f"{service}: {before}")
        self.sh(f"kill -9 {before['pid']}")

        def is_back():
            now = self.state(f"deploy-{service}-1")
            return now["restarts"] > before["restarts"] and now["status"] == "running" and now["pid"] != before["pid"]
        self.wait(f"{service} was killed and is back", is_back)

    # ---- the steps ----

    def boot(self):
        took = self.machine.start()
        self.log(f"a shell after {took:.0f} s")
        self.sh("mkdir -p /media; mount -o ro /dev/vdb /media")
        # The published port is on the machine's loopback; the test is outside.
        self.sh(f"printf '[Socket]\\nListenStream={RELAY}\\n[Install]\\nWantedBy=sockets.target\\n' "
                ">/etc/systemd/system/relay.socket; printf '[Unit]\\nRequires=relay.socket\\n[Service]\\nExecStart="
                "/usr/lib/systemd/systemd-socket-proxyd 127.0.0.1:3000\\n' >/etc/systemd/system/relay.service; "
                "systemctl daemon-reload; systemctl enable --now relay.socket")
        self.log(self.sh("uname -r; stat -fc %T /sys/fs/cgroup; systemctl is-system-running --wait || true", 300))
        self.log(self.sh("docker version; docker compose version; docker info", 240))
        check(self.sh("stat -fc %T /sys/fs/cgroup") == "cgroup2fs", "no cgroup v2")

    def load(self):
        begin = time.monotonic()
        self.sh("for archive in /media/*.docker; do docker load -i $archive; done", 1800)
        self.log(f"loading the images took {time.monotonic() - begin:.0f} s")
        self.log(self.sh("docker images; cat /media/origin"))
        self.sh("mkdir -p /srv/evalx /opt/evalx/chroots; cp -r /media/deploy /srv/evalx/; "
                "tar -C /opt/evalx/chroots --numeric-owner -xf /media/images.tar", 600)
        # As the head of compose.yaml recommends.
        self.sh("umask 077; cd /srv/evalx; mkdir -p deploy/secrets; "
                "tr -dc a-f0-9 </dev/urandom | head -c 64 >deploy/secrets/redis-password")
        self.compose("config --quiet")

    def up(self):
        begin = time.monotonic()
        self.compose("up -d", 600)
        self.log(f"docker compose up took {time.monotonic() - begin:.0f} s")
        self.all_up()
        self.run_batch()
        self.log(self.compose("ps"))
        for service in SERVICES:
            check(self.state(f"deploy-{service}-1")["restarts"] == 0, f"{service} did not come up at once")

    def verdicts(self):
        programs = [{"language": "bash", "version": "*", "code": code, **more} for code, more, _, _ in VERDICTS]
        for program in programs:  # fields that one leaves out are those of the first
            program.setdefault("stdin", "")
        found = self.wait_state(self.submit(programs), ("Completed", "Failed"), 400)
        check(found["status"] == "Completed", f"{found}")
        for (code, _, verdicts, output), result in zip(VERDICTS, found["results"], strict=True):
            check(result["status"] in verdicts.split() and output in (None, result["stdout"]), f"{code!r}: {result}")
            self.log(f"{result['status']}, {result['memory_bytes']} bytes: {code!r}")
        check(all(result["memory_bytes"] > 0 for result in found["results"]), f"memory is not measured: {found}")
        hog = found["results"][3]
        check(0.9 * 2**26 < hog["memory_bytes"] <= 2**26, f"the limit was 64 MiB: {hog}")
        self.run_batch()

    def isolation(self):
        """The sandbox works in the container, and only sandboxd runs as root."""
        check("sandbox self-test passed" in self.sh("docker logs deploy-worker-1 2>&1"), "no self-test")
        status, output = self.run("docker exec deploy-worker-1 evalx check", 300)
        self.log(output)
        check(status == 0 and "FAIL" not in output, f"evalx check ends with {status}: {output}")
        password = self.sh("cat /srv/evalx/deploy/secrets/redis-password")
        for service in ("api", "worker"):
            pid = self.state(f"deploy-{service}-1")["pid"]
            shown = self.sh(f"grep -E '^(Uid|CapEff|NoNewPrivs):' /proc/{pid}/status")
            check("0" not in re.search(r"Uid:\s+(.*)", shown)[1].split(), f"{service} runs as root: {shown}")
            check("CapEff:\t0000000000000000" in shown, f"{service} has capabilities: {shown}")
        for what in ("docker inspect $(docker ps -q)", "docker logs deploy-api-1 2>&1",
                     "docker logs deploy-worker-1 2>&1", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline"):
            check(password not in self.run(what)[1], f"the password is shown by: {what}")

    def groups(self):
        """cgroup v2 in the container: evalx divides its group, and leaves no process in it."""
        pid = self.state("deploy-worker-1")["pid"]
        group = self.sh(f"cut -d: -f3 /proc/{pid}/cgroup")
        check(re.search(r"/docker-[0-9a-f]{64}\.scope/evalx-\d+-\d+-\d+/main$", group), f"the worker is in {group}")
        top = f"/sys/fs/cgroup{group.rsplit('/', 2)[0]}"
        check(self.sh(f"cat {top}/cgroup.procs") == "", "the container's own group has processes")
        check({"memory", "pids"} <= set(self.sh(f"cat {top}/cgroup.subtree_control").split()), "not divided")
        slots = self.sh(f"ls -d {top}/evalx-*/slot-*").split()
        check(len(slots) == self.workers()[0]["slots"], f"slots: {slots}")
        # A standby box has one process that waits for its program.  Processes of ended runs are gone.
        self.wait("no program runs", lambda: len(
            self.run(f"cat {top}/evalx-*/slot-*/run-*/cgroup.procs 2>/dev/null")[1].split()) <= len(slots), 30)

    def networks(self):
        """Which service reaches which, as the file declares."""
        try:
            link = http.client.HTTPConnection("127.0.0.1", self.machine.ports[3000], timeout=10)
            link.request("GET", "/healthz")
            link.getresponse()
        except (OSError, http.client.HTTPException):
            pass
        else:
            check(False, "the API's port is open on the machine's own address")
        ports = self.sh("docker ps --format '{{.Names}} {{.Ports}}'").split("\n")
        published = [line for line in ports if "->" in line]
        check(len(published) == 1 and "127.0.0.1:3000->3000/tcp" in published[0], f"published: {ports}")
        redis = self.inspect("deploy-redis-1", "range .NetworkSettings.Networks}}{{.IPAddress}}{{end")
        rows = [("api", "redis", 6379, True), ("worker", "redis", 6379, True), ("worker", "api", 3000, True),
                ("api", OUTSIDE, RELAY, True), ("worker", OUTSIDE, RELAY, False), ("redis", OUTSIDE, RELAY, False)]
        for service, address, port, expected in rows:
            check(self.reaches(service, address, port) == expected, f"{service} to {address}:{port} is not {expected}")
        for service in ("worker", "redis"):
            check("default" not in self.sh(f"nsenter -t {self.state(f'deploy-{service}-1')['pid']} -n ip route"),
                  f"{service} has a way out")
        stranger = "docker run --rm --entrypoint timeout {} evalx 10 bash -c 'exec 3<>/dev/tcp/{}/{}' 2>&1"
        check(self.run(stranger.format("", redis, 6379))[0] != 0, "a container of another network reaches Redis")
        check(self.run(stranger.format("--network deploy_outside", redis, 6379))[0] != 0, "Redis is open to outside")
        check(self.run(stranger.format("--network deploy_inside", redis, 6379))[0] == 0, "that proved nothing")
        # Without the password Redis serves nobody, not even its neighbours.
        answer = self.inside("worker", f"exec 3<>/dev/tcp/{redis}/6379; echo KEYS \\* >&3; read -r a <&3; echo $a")[1]
        check("NOAUTH" in answer, f"Redis without a password: {answer}")
        # Programs have no network, whatever their worker reaches.
        codes = [f"exec 3<>/dev/tcp/{address} && echo reached || echo refused"
                 for address in (f"{redis}/6379", "127.0.0.1/9100", f"{OUTSIDE}/{RELAY}")]
        token = self.submit([{"language": "bash", "version": "*", "code": code} for code in codes])
        self.expect_outputs(token, ["refused\n"] * len(codes))

    def killed(self):
        """Kills main processes while a job runs; nothing is lost."""
        token = self.running(20)
        self.kill_main("worker")
        self.kill_main("api")
        self.all_up()
        self.expect_outputs(token, ["done\n"])
        pid = self.state("deploy-worker-1")["pid"]
        trees = self.sh(f"ls -d /proc/{pid}/root/sys/fs/cgroup/evalx-*").split()
        check(len(trees) == 1, f"control groups were left: {trees}")
        # The engine does not restart after `docker kill`, because an operator did it; the work waits.
        token = self.running(15)
        self.compose("kill worker")
        time.sleep(20)
        check(self.state("deploy-worker-1")["status"] == "exited", "docker kill: the worker is back by itself")
        self.compose("up -d")
        self.expect_outputs(token, ["done\n"])

    def redis_restarted(self):
        """The queue is on the volume, and survives a restart and a kill."""
        self.compose("stop worker")
        queued = [self.sleeper(1) for _ in range(4)]
        self.compose("restart redis")
        self.wait_store()
        queued += [self.sleeper(1) for _ in range(2)]
        self.kill_main("redis")
        self.wait_store()
        for token in queued:
            self.wait("queued work is known", lambda t=token: self.look(t)["status"] == "Queued", 60)
        self.compose("start worker")
        for token in queued:
            self.expect_outputs(token, ["done\n"])
        # And with a job that runs, whose result has to wait for Redis.
        token = self.running(10)
        self.compose("restart redis")
        self.all_up()
        self.expect_outputs(token, ["done\n"])

    def scaled(self):
        self.compose("up -d --scale worker=2")
        self.wait_workers(2)
        self.wait("the second is healthy", lambda: self.state("deploy-worker-2")["health"] == "healthy")
        tokens = [self.sleeper(40) for _ in range(sum(worker["slots"] for worker in self.workers()))]
        begun = [self.wait_state(token, ("Processing",))["started_at"] for token in tokens]
        # Back to one: jobs on the other are finished first.
        begin = time.monotonic()
        self.compose("up -d --scale worker=1")
        self.log(f"scaling down with running jobs took {time.monotonic() - begin:.1f} s")
        self.wait_workers(1)
        for token in tokens:
            self.expect_outputs(token, ["done\n"])
        check([self.look(token)["started_at"] for token in tokens] == begun, "a job was begun again")

    def stopped(self):
        """`docker compose stop` drains: running jobs are finished, and all services end normally."""
        token = self.running(15)
        begin = time.monotonic()
        self.compose("stop")
        self.log(f"stop with a running job took {time.monotonic() - begin:.1f} s")
        for service in SERVICES:
            check(self.inspect(f"deploy-{service}-1", ".State.ExitCode") == "0", f"{service} did not end in order")
        for service in ("api", "worker"):
            last = self.sh(f"docker logs --tail 1 deploy-{service}-1 2>&1")
            check(last.endswith('msg="ended"'), f"{service}: {last}")
        check(not self.answers("/healthz"), "the port is still open")
        # No worker has run since, but the result is stored.
        self.compose("start redis api")
        self.wait("the API answers", lambda: self.answers("/healthz"))
        self.expect_outputs(token, ["done\n"], 30)
        self.compose("start")
        self.all_up()

    def removed(self):
        """`down` and `up`: containers and networks are new, the volume is the same."""
        done = self.submit([{"language": "bash", "version": "*", "code": "echo kept"}])
        self.expect_outputs(done, ["kept\n"])
        running = self.running(15)
        self.compose("down")
        check(self.sh("docker ps -aq; docker network ls -q -f name=deploy_") == "", "down left something")
        check("deploy_redis" in self.sh("docker volume ls -q"), "down took the volume")
        self.compose("up -d")
        self.all_up()
        self.expect_outputs(done, ["kept\n"], 10)
        self.expect_outputs(running, ["done\n"], 10)

    def stuck(self):
        """A stopped service is shown as unhealthy, and as healthy when it continues."""
        for service in ("api", "worker", "redis"):
            pid = self.state(f"deploy-{service}-1")["pid"]
            self.sh(f"kill -STOP {pid}")
            self.wait(f"{service} is unhealthy",
                      lambda s=service: self.state(f"deploy-{s}-1")["health"] == "unhealthy", 240)
            self.sh(f"kill -CONT {pid}")
            self.wait_healthy(service)
        self.all_up()
        self.run_batch()

    def engine_restarted(self):
        """The engine is restarted, then killed.  It stops all containers at once, Redis too."""
        running = self.running(20)
        begin = time.monotonic()
        self.sh("systemctl restart docker", 300)
        self.log(f"restarting the engine with a running job took {time.monotonic() - begin:.1f} s")
        self.all_up()
        self.expect_outputs(running, ["done\n"])
        running = self.running(20)
        self.sh("kill -9 $(systemctl show -P MainPID docker)")
        self.wait("the engine is back", lambda: self.run("docker ps -q")[0] == 0)
        self.all_up()
        self.expect_outputs(running, ["done\n"])
        self.run_batch()

    def rebooted(self):
        """The machine reboots with work queued and running.  All of it is done afterwards without intervention."""
        slots = sum(worker["slots"] for worker in self.workers())
        tokens = [self.sleeper(40) for _ in range(slots)]
        for token in tokens:
            self.wait_state(token, ("Processing",))
        tokens += [self.sleeper(1) for _ in range(4)]
        self.reboot()
        self.all_up(400)
        for token in tokens:
            self.expect_outputs(token, ["done\n"], 400)
        self.run_batch()
        self.log(self.compose("ps"))

    def end(self):
        self.compose("down")
        self.machine.send("systemctl poweroff")
        self.machine.wait_end()


STEPS = ("boot", "load", "up", "verdicts", "isolation", "groups", "networks", "killed", "redis_restarted", "scaled",
         "stopped", "removed", "stuck", "engine_restarted", "rebooted", "end")
NEEDED = ("boot", "load", "up", "end")
WORDS = ("cd /srv/evalx; docker compose -f deploy/compose.yaml ps -a; "
         "docker compose -f deploy/compose.yaml logs --tail 60; "
         "docker inspect deploy-redis-1 deploy-api-1 deploy-worker-1 | grep -A 40 Health; "
         "journalctl --no-pager -u docker -n 100")

if __name__ == "__main__":
    sys.exit(engine.main(Compose, STEPS, NEEDED, WORDS))
