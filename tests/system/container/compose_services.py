"""compose_services: runs the services of deploy/compose.yaml as containers of runc, and a batch through them.

Called by container.sh with the folder that holds its images.
"""
import json
import os
import secrets
import subprocess
import sys
import time

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
# The capabilities that Docker leaves to root in an unprivileged container.
CAPABILITIES = ["CAP_" + name for name in (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT").split()]
BATCH = [
    {"language": "bash", "version": "*", "code": "read a; echo $((a * a))", "stdin": "7\n", "expected_output": "49\n"},
    {"stdin": "12\n", "expected_output": "145\n"},
    {"code": "while :; do :; done", "timeout": 1},
    {"code": "exec 3<>/dev/tcp/127.0.0.1/6379 && echo reached || echo refused"},
]
EXPECTED = [("accepted", "49\n"), ("wrong_answer", "144\n"), ("time_limit", ""), ("accepted", "refused\n")]


def call(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=120, **more).stdout.strip()


class Compose:
    """The services of the file, as containers in one network namespace."""

    def __init__(self, folder):
        self.folder, self.network = folder, f"evalx-compose-{os.getpid()}"
        with open(os.path.join(ROOT, "deploy", "compose.yaml"), encoding="utf-8") as file:
            self.file = yaml.safe_load(file)
        self.password = secrets.token_hex(32)
        self.write("password", self.password + "\n")
        os.chmod(os.path.join(folder, "password"), 0o644)  # as Docker mounts it: readable for a user other than root
        self.write("hosts", "127.0.0.1 localhost " + " ".join(self.file["services"]) + "\n")
        self.started = []

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def runc(self, *words, **more):
        return call("runc", "--root", os.path.join(self.folder, "runc"), *words, **more)

    def privileged(self):
        """All capabilities that root has on this machine."""
        with open("/proc/self/status", encoding="ascii") as file:
            mask = int(next(line for line in file if line.startswith("CapEff:")).split()[1], 16)
        known = [line.split()[1] for line in open("/usr/include/linux/capability.h", encoding="utf-8")
                 if line.startswith("#define CAP_") and line.split()[2].isdigit()]
        return [name for bit, name in enumerate(known) if mask >> bit & 1]

    def settings(self, service, image, root):
        """The configuration of the container, based on the defaults of runc."""
        bundle = os.path.join(self.folder, service)
        os.makedirs(bundle)
        self.runc("spec", "--bundle", bundle)
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            found = json.load(file)
        wanted = self.file["services"][service]
        inside = json.loads(call("buildah", "inspect", "--type", "image", image))["OCIv1"]["config"]
        found["root"] = {"path": root, "readonly": False}
        process = found["process"]
        process["terminal"] = False
        process.pop("rlimits", None)
        process["args"] = (inside.get("Entrypoint") or []) + [word.replace("$$", "$") for word in wanted["command"]]
        process["env"] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] + [
            f"{key}={value}" for key, value in wanted.get("environment", {}).items()]
        is_privileged = wanted.get("privileged", False)
        given = self.privileged() if is_privileged else CAPABILITIES
        process["capabilities"] = {kind: given for kind in ("bounding", "effective", "permitted")}
        process["noNewPrivileges"] = False
        for space in found["linux"]["namespaces"]:
            if space["type"] == "network":
                space["path"] = f"/run/netns/{self.network}"
        if is_privileged:
            found["linux"]["maskedPaths"] = found["linux"]["readonlyPaths"] = []
            found["linux"]["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
            found["linux"]["namespaces"] = [n for n in found["linux"]["namespaces"] if n["type"] != "cgroup"]
            found["mounts"] = [m for m in found["mounts"] if m["destination"] not in ("/sys", "/sys/fs/cgroup")]
            found["mounts"] += [self.bind("/sys", "/sys", "rw")]
        for name in wanted.get("secrets", []):
            assert name == "redis-password", name
            found["mounts"].append(self.bind(os.path.join(self.folder, "password"), f"/run/secrets/{name}", "ro"))
        found["mounts"].append(self.bind(os.path.join(self.folder, "hosts"), "/etc/hosts", "ro"))
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(found, file)
        return bundle

    @staticmethod
    def bind(source, target, how):
        return {"destination": target, "source": source, "type": "bind", "options": ["rbind", how]}

    def start(self, service):
        image = self.file["services"][service]["image"]
        image = f"docker.io/library/{image}" if ":" in image else image
        container = call("buildah", "from", "--pull-never", image)
        bundle = self.settings(service, image, call("buildah", "mount", container))
        name = f"{self.network}-{service}"
        with open(os.path.join(self.folder, f"{service}.log"), "wb") as log:
            subprocess.run(["runc", "--root", os.path.join(self.folder, "runc"), "run", "--detach", "--bundle", bundle,
                            name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, timeout=60)
        self.started.append((service, name))

    def state(self, service):
        return json.loads(self.runc("state", dict(self.started)[service]))

    def stop(self, service, seconds):
        """As compose does it: SIGTERM to the main process, then waiting."""
        self.runc("kill", dict(self.started)[service], "TERM")
        end = time.monotonic() + seconds
        while self.state(service)["status"] != "stopped":
            assert time.monotonic() < end, f"{service} does not end"
            time.sleep(0.1)

    def log(self, service):
        with open(os.path.join(self.folder, f"{service}.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def ask(self, method, path, body=None):
        """Sends a request in the network of the services, from a process that enters it."""
        if body is not None:
            body = json.dumps(body)
        script = ("import http.client, sys; link = http.client.HTTPConnection('127.0.0.1', 3000, timeout=60); "
                  "link.request(sys.argv[1], sys.argv[2], sys.argv[3] or None, {'Content-Type': 'application/json'}); "
                  "answer = link.getresponse(); print(answer.status); print(answer.read().decode())")
        status, text = call("ip", "netns", "exec", self.network, sys.executable, "-c", script, method, path,
                            body or "").split("\n", 1)
        return int(status), text

    def wait_ready(self):
        end = time.monotonic() + 60
        while True:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except subprocess.CalledProcessError:
                pass  # the port is not open yet
            assert time.monotonic() < end, "the services are not ready after 60 s"
            time.sleep(0.3)

    def __enter__(self):
        call("ip", "netns", "add", self.network)
        call("ip", "netns", "exec", self.network, "ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, kind, *_):
        for service, name in self.started:
            if kind is not None:
                print(f"--- {service}\n{self.log(service)[-3000:]}", file=sys.stderr)
            subprocess.run(["runc", "--root", os.path.join(self.folder, "runc"), "delete", "--force", name],
                           check=False)
        subprocess.run(["ip", "netns", "delete", self.network], check=False)
        subprocess.run(["buildah", "umount", "--all"], check=False, stdout=subprocess.DEVNULL)


def main():
    with Compose(sys.argv[1]) as compose:
        for service in compose.file["services"]:
            compose.start(service)
        compose.wait_ready()
        status, text = compose.ask("POST", "/execute/batch", BATCH)
        assert status == 200, text
        token = json.loads(text)["token"]
        found = json.loads(compose.ask("GET", f"/submissions/{token}?wait=30")[1])
        got = [(result["status"], result["stdout"]) for result in found["results"]]
        assert got == EXPECTED, found
        for service in ("api", "worker"):
            pid = compose.state(service)["pid"]
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                uids = next(line for line in file if line.startswith("Uid:")).split()[1:]
            assert "0" not in uids, f"{service} runs as root: {uids}"
            with open(f"/proc/{pid}/environ", "rb") as file:
                assert compose.password.encode() not in file.read()
        assert "sandbox self-test passed" in compose.log("worker")
        compose.stop("worker", 30)
        assert compose.ask("GET", "/readyz")[0] == 503, "ready without a worker"
        compose.stop("api", 30)
        for service in ("api", "worker"):
            assert compose.log(service).rstrip().endswith('msg="ended"'), compose.log(service)
    print(f"{len(EXPECTED)} of {len(EXPECTED)} verdicts are right")


if __name__ == "__main__":
    main()
