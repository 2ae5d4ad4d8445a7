"""golden: tests a machine that deploy/build_ami.sh made, from its first boot on.

Called by golden.sh; see engine.py.
"""
import json
import re
import sys
import time

import engine
from engine import check

PASSWORD = "vm-secret!&#$^<>-0123456789"
BUILD = "/media/clone/deploy/build_ami.sh --any-system --binary /media/evalx --offline /media/packages"
ROLES = "evalx-api evalx-worker"
SANDBOX_USER = 2000000123  # one that a program could run as
METADATA = "169.254.169.254"


class Golden(engine.Engine):
    def main_pid(self, unit):
        pid = int(self.sh(f"systemctl show -P MainPID {unit}"))
        check(pid > 1, f"{unit} has no main process")
        return pid

    def restarts(self, unit):
        return int(self.sh(f"systemctl show -P NRestarts {unit}"))

    # ---- the steps ----

    def boot(self):
        took = self.machine.start()
        self.log(f"a shell after {took:.0f} s")
        self.sh("mkdir -p /media; mount -o ro /dev/vdb /media")
        self.log(self.sh("uname -r; stat -fc %T /sys/fs/cgroup; systemctl is-system-running --wait || true"))
        for program in ("evalx", "nft", "redis-server", "gcc"):
            check(self.run(f"command -v {program}")[0] != 0, f"this is no stock machine: it has {program}")

    def fingerprint(self):
        """Every file of the machine except those that change by themselves, with size, mode and modification time."""
        alive = " -o ".join(f"-path {path}" for path in (
            "/var/log", "/run", "/tmp", "/var/tmp", "/var/lib/systemd", "/var/lib/redis", "/var/lib/evalx", "/media"))
        return self.sh(f"find / -xdev \\( {alive} \\) -prune -o -type f -printf '%p %s %m %T@\\n' | sort | sha256sum",
                       300)

    def dry_run(self):
        before = self.fingerprint()
        output = self.sh(BUILD + " --dry-run", 300)
        check("dry run: nothing was changed" in output, "the dry run does not report that it changed nothing")
        check(self.fingerprint() == before, "the dry run changed something")

    def provision(self):
        begin = time.monotonic()
        output = self.sh(BUILD, 1800)
        self.log(f"build_ami.sh took {time.monotonic() - begin:.0f} s")
        check("a program in the sandbox printed the expected output" in output, "no self-test")
        manifest = json.loads(self.sh("cat /etc/evalx/manifest.json"))
        check({"/usr/local/bin/evalx", "/etc/systemd/system/evalx-worker.service"} <=
              {file["path"] for file in manifest["files"]}, "the manifest lacks files")
        check([image["name"] for image in manifest["images"]] == ["python-3.13"], "the manifest lacks the image")
        check(any(package["name"] == "nftables" for package in manifest["packages"]), "the manifest lacks packages")
        check(self.sh("stat -c '%a %U:%G' /etc/evalx/evalx.env") == "640 root:evalx", "evalx.env is open to others")

    def again(self):
        watched = "find /etc /usr/local /usr/libexec /opt/evalx -xdev -type f -printf '%p %s %m %T@\\n' | sort"
        self.sh(watched + " >/run/before", 300)
        begin = time.monotonic()
        self.sh(BUILD, 900)
        self.log(f"the second build_ami.sh took {time.monotonic() - begin:.0f} s")
        changed = self.sh(watched + " | diff /run/before - || true", 300)
        check(changed == "", f"a second run changed files:\n{changed}")

    def roles(self):
        """As user data does it: writes the environment, then enable --now.  Redis requires a password."""
        state = "/var/lib/evalx-provision"
        self.sh(f"DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dir::Etc::SourceList={state}/offline.list "
                f"-o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists={state}/lists "
                "-o APT::Sandbox::User=root install --no-install-recommends redis-server", 600)
        self.sh("umask 077; "
                f"printf '%s' '{PASSWORD}' >/etc/evalx/redis-password; "
                f"printf 'requirepass \"%s\"\\nappendonly yes\\n' '{PASSWORD}' >>/etc/redis/redis.conf; "
                "systemctl enable redis-server; systemctl restart redis-server", 300)
        self.sh("printf 'EVALX_ROLE=all\\nEVALX_STORE=redis://127.0.0.1:6379\\nEVALX_LISTEN=0.0.0.0:3000\\n' "
                ">>/etc/evalx/evalx.env")
        self.sh("systemctl enable --now evalx.service", 300)
        self.wait_ready()
        self.run_batch()
        self.reboot()
        self.wait_ready(240)
        self.sh("mount -o ro /dev/vdb /media")
        self.log(self.sh("systemd-analyze time; systemd-analyze blame | head -n 12"))
        self.run_batch()

    def health(self):
        state = self.run("systemctl is-system-running --wait", 300)[1]
        check(state == "running", f"systemd is {state}: {self.run('systemctl --failed')[1]}")
        for unit in ROLES.split():
            shown = self.sh(f"systemctl show -P ActiveState -P StatusText -P Type {unit}")
            check("active" in shown.split(), f"{unit}: {shown}")
            check("listening" in shown or "working" in shown, f"{unit} told systemd nothing: {shown}")
            uids = self.sh(f"awk '/^Uid:|^CapEff:|^CapBnd:|^NoNewPrivs/' /proc/{self.main_pid(unit)}/status")
            evalx = self.sh("id -u evalx")
            check(f"Uid:\t{evalx}\t{evalx}\t{evalx}\t{evalx}" in uids, f"{unit} does not run as evalx: {uids}")
            check(uids.count("0000000000000000") == 2, f"{unit} has capabilities: {uids}")
        verify = "cd /etc/systemd/system; systemd-analyze verify --man=no evalx*.service evalx.target"
        problems = self.run(verify, 300)[1]
        check("evalx" not in problems, f"systemd-analyze verify: {problems}")
        rating = self.sh("systemd-analyze security --no-pager evalx-api.service", 120)
        level = re.search(r"Overall exposure level for evalx-api\.service: ([\d.]+) (\w+)", rating)
        check(level is not None and float(level[1]) < 5, f"evalx-api: {rating[-300:]}")
        self.log(f"systemd-analyze security evalx-api: {level[1]} {level[2]}")
        worker = self.run("systemd-analyze security --no-pager evalx-worker.service | tail -n 1", 120)[1]
        self.log(f"and for comparison: {worker}")

    def secrets(self):
        for unit in ROLES.split():
            pids = self.sh(f"cat $(find /sys/fs/cgroup/system.slice/{unit}.service -name cgroup.procs)").split()
            for pid in pids:
                self.sh(f"! grep -qF '{PASSWORD}' /proc/{pid}/environ /proc/{pid}/cmdline 2>/dev/null")
        self.sh(f"! journalctl --no-pager | grep -v evalx-test | grep -F '{PASSWORD}'", 120)
        self.sh(f"! systemctl show {ROLES} | grep -F '{PASSWORD}'")
        check(self.sh("stat -c '%a %U' /run/evalx-secrets/redis-password /run/evalx-secrets") == "600 root\n700 root",
              "others can read the password")

    def killed(self):
        """kill -9 of the main process of each unit while a job runs."""
        token = self.running(25)
        for unit in ROLES.split():
            before = self.restarts(unit)
            self.sh(f"kill -9 {self.main_pid(unit)}")
            self.wait(f"{unit} is up again", lambda u=unit, b=before: self.restarts(u) == b + 1 and
                      self.run(f"systemctl is-active {u}")[1] == "active")
        self.wait_ready()
        self.expect_outputs(token, ["done\n"])
        # The death of the root side costs the current runs, not the worker.
        before = self.restarts("evalx-worker")
        self.sh("kill -9 $(pgrep -P $(pgrep -o -f evalx-launcher) -f evalx-launcher)")
        self.run_batch()
        check(self.restarts("evalx-worker") == before, "the worker died with its launcher")
        # The root side of a killed worker ends too, together with its programs.
        groups = self.sh("ls -d /sys/fs/cgroup/system.slice/evalx-worker.service/evalx-*").split()
        check(len(groups) == 1, f"control groups were left: {groups}")
        self.run_batch()

    def watchdog(self):
        """The watchdog notices a stopped worker."""
        self.sh("mkdir -p /run/systemd/system/evalx-worker.service.d; "
                "printf '[Service]\\nWatchdogSec=8\\n' >/run/systemd/system/evalx-worker.service.d/test.conf; "
                "systemctl daemon-reload; systemctl restart evalx-worker", 240)
        self.wait_ready()
        time.sleep(20)
        before = self.restarts("evalx-worker")
        check(before == 0, "the watchdog fired without a reason")
        self.sh(f"kill -STOP {self.main_pid('evalx-worker')}")
        self.wait("the watchdog has restarted the worker", lambda: self.restarts("evalx-worker") == 1)
        self.sh("journalctl --no-pager -u evalx-worker | grep -i watchdog | tail -n 3; "
                "rm -r /run/systemd/system/evalx-worker.service.d; systemctl daemon-reload")
        self.wait_ready()
        self.run_batch()

    def drain(self):
        token = self.running(10)
        begin = time.monotonic()
        self.sh("systemctl stop evalx-worker", 240)
        self.log(f"stop with a running job took {time.monotonic() - begin:.1f} s")
        self.expect_outputs(token, ["done\n"], 5)
        result = self.sh("systemctl show -P Result -P ExecMainStatus evalx-worker")
        check(result.split() == ["success", "0"], f"the worker ended with {result}")

    def handed_back(self):
        """If the drain is shorter than the job, the job returns to the queue and runs on the next worker."""
        self.sh("echo EVALX_DRAIN_SECONDS=2 >>/etc/evalx/evalx.env; systemctl start evalx-worker", 240)
        self.wait_ready()
        token = self.running(20)
        self.sh("systemctl stop evalx-worker", 240)
        check(self.look(token)["status"] == "Queued", f"not handed back: {self.look(token)}")
        self.sh("sed -i /EVALX_DRAIN_SECONDS/d /etc/evalx/evalx.env; systemctl start evalx-worker", 240)
        self.expect_outputs(token, ["done\n"])

    def reboot_with_work(self):
        """Accepted submissions, queued or running, survive a reboot of the machine."""
        running = self.running(40)
        self.sh("echo EVALX_DRAIN_SECONDS=1 >>/etc/evalx/evalx.env; systemctl restart evalx-worker", 240)
        queued = [self.sleeper(1) for _ in range(4)]
        self.reboot()
        self.sh("mount -o ro /dev/vdb /media")
        self.wait_ready(240)
        for token in (running, *queued):
            self.expect_outputs(token, ["done\n"], 300)

    def connect_as(self, user, address, port):
        """Whether a connection succeeded, and how long it took."""
        begin = time.monotonic()
        status = self.run(f"setpriv --reuid {user} --regid {user} --clear-groups "
                          f"timeout 20 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>&1")[0]
        return status == 0, time.monotonic() - begin

    def egress_firewall(self):
        """In the network of the host, users of the sandbox reach nothing, and only root reaches the metadata."""
        self.sh(f"ip address add {METADATA}/32 dev lo; redis-server --bind {METADATA} --port 80 --protected-mode no "
                f"--daemonize yes --save '' --dir /run --pidfile /run/metadata.pid")
        evalx = int(self.sh("id -u evalx"))
        rows = [(0, METADATA, 80, True), (evalx, METADATA, 80, False), (SANDBOX_USER, METADATA, 80, False),
                (SANDBOX_USER, "127.0.0.1", 3000, False), (SANDBOX_USER, "127.0.0.1", 6379, False),
                (SANDBOX_USER, "10.0.2.2", 80, False), (evalx, "127.0.0.1", 3000, True)]
        for user, address, port, expected in rows:
            came, took = self.connect_as(user, address, port)
            check(came == expected, f"user {user} to {address}:{port}: {'reached' if came else 'refused'}")
            check(expected or took < 15, f"user {user} to {address}:{port}: not refused, timed out")
        counters = self.sh("nft list counters table inet evalx_egress")
        check(re.search(r"counter programs \{\s+packets [1-9]", counters), f"nothing was counted: {counters}")
        # Without the rule the connection succeeds, so it is the rule that refuses.
        self.sh("systemctl stop evalx-egress-firewall")
        check(self.run("systemctl is-active evalx-worker")[1] == "inactive",
              "the worker runs without the egress firewall")
        check(self.connect_as(SANDBOX_USER, "127.0.0.1", 6379)[0], "without the egress firewall it should be reached")
        self.sh("systemctl start evalx-worker; kill $(cat /run/metadata.pid)", 240)
        check(not self.connect_as(SANDBOX_USER, "127.0.0.1", 6379)[0],
              "the egress firewall did not start with the worker")
        self.wait_ready()
        token = self.submit([{"language": "bash", "version": "*",
                              "code": f"exec 3<>/dev/tcp/{METADATA}/80 && echo reached || echo refused"}])
        self.expect_outputs(token, ["refused\n"])

    def labels(self, unit):
        """The AppArmor labels of the processes of a unit: the worker, its root side and its slots."""
        return set(self.sh("for pid in $(cat $(find /sys/fs/cgroup/system.slice/%s.service -name cgroup.procs)); do "
                           "cat /proc/$pid/attr/current; echo; done 2>/dev/null | tr -d '\\000' | grep ." % unit)
                   .split("\n"))

    def confined(self):
        """The API server works under its profile, and nothing that it needs is denied.  A shell under the same profile
        shows what is denied."""
        if self.run("test -e /etc/apparmor.d/evalx-api")[0] != 0:
            self.log("this release has no AppArmor that the profile is made for")
            return
        check("evalx-api (enforce)" in self.sh("cat /sys/kernel/security/apparmor/profiles").split("\n"),
              "the API server's profile is not loaded")
        check(self.labels("evalx-api") == {"evalx-api (enforce)"}, f"labelled {self.labels('evalx-api')}")
        self.run_batch()
        for path in ("/metrics", "/languages", "/"):
            check(self.answers(path), f"GET {path}")
        refused = "journalctl --no-pager -k | grep 'apparmor=\"DENIED\"' | grep 'profile=\"evalx-api\"' || true"
        check(self.sh(refused, 120) == "", f"the API server was refused: {self.sh(refused, 120)}")
        more = "/usr/bin/bash mr,\\n/usr/bin/mount mrix,\\n"
        self.sh(f"sed -e 's/^profile evalx-api /profile evalx-tried /' -e 's#^}}$#{more}}}#' /etc/apparmor.d/evalx-api "
                ">/run/tried; apparmor_parser --replace /run/tried")
        tries = [("read x </etc/evalx/languages/bash.conf", True), ("exec 3<>/dev/tcp/127.0.0.1/3000", True),
                 ("read x </etc/shadow", False), ("read x </etc/evalx/redis-password || [ -n \"$x\" ]", False),
                 ("read -d . x </proc/1/environ || [ -n \"$x\" ]", False), ("echo >/var/lib/evalx/written", False),
                 ("echo >/tmp/written", False), ("/usr/bin/true", False), ("kill -CONT 1", False),
                 ("mount -t tmpfs none /mnt", False)]
        for command, expected in tries:
            worked, output = self.run(f"aa-exec -p evalx-tried -- /bin/bash -c '{command}'")
            check((worked == 0) == expected, f"{command}: {'worked' if worked == 0 else 'refused'}: {output}")
            if not expected:
                check(self.run(f"/bin/bash -c '{command}'")[0] == 0, f"without the profile it should work: {command}")
        self.sh("umount /mnt; rm -f /var/lib/evalx/written /tmp/written; apparmor_parser --remove /run/tried")
        # Without the profile the unit starts, too.
        self.sh("apparmor_parser --remove /etc/apparmor.d/evalx-api; systemctl restart evalx-api", 240)
        self.wait_ready()
        check(self.labels("evalx-api") <= {"unconfined", "evalx (unconfined)"}, f"labelled {self.labels('evalx-api')}")
        self.sh("apparmor_parser --replace /etc/apparmor.d/evalx-api; systemctl restart evalx-api", 240)
        self.wait_ready()
        check(self.labels("evalx-api") == {"evalx-api (enforce)"}, f"labelled {self.labels('evalx-api')}")

    def apparmor(self):
        """evalx works under Ubuntu's rule against unprivileged user namespaces, with its profile and without."""
        if self.run("test -e /etc/apparmor.d/abi/4.0")[0] != 0:
            self.log("this release has no such rule")
            return
        rule = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
        check(self.sh(f"cat {rule}") == "1", "the rule is off")
        nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user --map-root-user true"
        check(self.run(nobody)[0] != 0, "the rule does not bite")
        check("evalx (unconfined)" in self.sh("cat /sys/kernel/security/apparmor/profiles").split("\n"),
              "the profile is not loaded")
        check(re.search(r"^ +evalx$", self.sh("aa-status"), re.M), "aa-status does not know the profile")
        check(self.labels("evalx-worker") == {"evalx (unconfined)"}, f"labelled {self.labels('evalx-worker')}")
        self.run_batch()
        # The rule concerns unprivileged processes only, so the profile is not needed.
        self.sh("apparmor_parser --remove /etc/apparmor.d/evalx; systemctl restart evalx-worker", 240)
        self.wait_ready()
        check(self.labels("evalx-worker") == {"unconfined"}, f"labelled {self.labels('evalx-worker')}")
        self.run_batch()
        self.forbidden()

    def forbidden(self):
        """If a profile forbids user namespaces, evalx refuses to start and prints the reason and the remedy."""
        allowed = "file, capability, network, unix, signal, ptrace, mount, remount, umount, pivot_root,"
        self.sh("printf 'abi <abi/4.0>,\\nprofile evalx /usr/local/bin/evalx "
                f"flags=(attach_disconnected,mediate_deleted) {{ {allowed} deny userns, }}\\n' >/run/forbids; "
                "apparmor_parser --replace /run/forbids")
        status, output = self.run("systemd-run --quiet --wait --pipe --collect --property=Delegate=yes "
                                  "/usr/local/bin/evalx check", 240)
        check(status != 0 and "apparmor_parser --replace /etc/apparmor.d/evalx" in output, f"evalx check: {output}")
        self.run("systemctl restart evalx-worker", 240)
        told = "journalctl --no-pager -u evalx-worker | grep -c 'apparmor_parser --replace /etc/apparmor.d/evalx'"
        self.wait("the worker says what helps", lambda: self.run(told)[0] == 0)
        check(self.run("systemctl is-active evalx-worker")[1] != "active", "the worker serves nevertheless")
        # The remedy works.
        self.sh("apparmor_parser --replace /etc/apparmor.d/evalx; systemctl restart evalx-worker", 240)
        self.wait_ready()
        check(self.labels("evalx-worker") == {"evalx (unconfined)"}, f"labelled {self.labels('evalx-worker')}")
        self.run_batch()

    def stop_all(self):
        self.sh("systemctl stop evalx.service", 240)
        for unit in ROLES.split():
            check(self.run(f"systemctl is-active {unit}")[1] == "inactive", f"{unit} continues without evalx.service")
        check(not self.answers("/healthz"), "the port is still open")
        self.sh("systemctl start evalx.service", 240)
        self.wait_ready()

    def missing_redis(self):
        """The services wait for Redis until it comes up."""
        self.sh("systemctl stop redis-server; systemctl restart evalx-api evalx-worker || true", 240)
        time.sleep(30)
        self.sh("systemctl start redis-server", 240)
        self.wait_ready(180)
        self.run_batch()

    def single(self):
        """The machine becomes a single-machine installation."""
        self.sh("sed -i -e s/^EVALX_ROLE=.*/EVALX_ROLE=single/ -e /^EVALX_STORE/d -e /DRAIN/d /etc/evalx/evalx.env; "
                "systemctl restart evalx.service", 300)
        for unit in ROLES.split():
            check(self.run(f"systemctl is-active {unit}")[1] == "inactive", f"{unit} still runs")
        self.sh("systemctl stop redis-server")
        self.wait_ready()
        self.run_batch()
        before = self.restarts("evalx-single")
        self.sh(f"kill -9 {self.main_pid('evalx-single')}")
        self.wait("evalx-single is up again", lambda: self.restarts("evalx-single") == before + 1)
        self.wait_ready()
        self.run_batch()

    def end(self):
        self.log(self.run("journalctl --no-pager -u 'evalx*' | tail -n 200", 120)[1][-200:])
        self.machine.send("systemctl poweroff")
        self.machine.wait_end()


STEPS = ("boot", "provision", "roles", "health", "secrets", "killed", "drain", "handed_back", "egress_firewall",
         "confined", "apparmor",
         "stop_all", "watchdog", "reboot_with_work", "missing_redis", "again", "dry_run", "single", "end")
NEEDED = ("boot", "provision", "roles", "end")
WORDS = "systemctl --no-pager status 'evalx*'; journalctl --no-pager -n 300"

if __name__ == "__main__":
    sys.exit(engine.main(Golden, STEPS, NEEDED, WORDS))
