"""attack_server: starts the real evalx for the attacks, observes it from outside, and stops it.

Its programs have their own range of user ids, and the names of its groups contain its supervisor's process id.  This
distinguishes what is left of it from processes and groups of others.
"""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tools")]
import language_file  # noqa: E402
from shared_host import UID_SPAN, free_port, free_uids  # noqa: E402

DISK_MIB = 48
HASTY_CPU_MS, HASTY_WALL_MS = 800, 1600
COMPILE_MS_MAX = 60000
WAIT_S = 60


# The languages of the attacks, and images (./dev images) with the same commands as the host.
IN_IMAGES = {"c": "gcc-14", "cpp": "gcc-14", "bash": "gcc-14", "python": "python-3.13", "javascript": "node-20",
             "java": "java-21"}


def move_into_images(folder):
    for name, image in IN_IMAGES.items():
        path = os.path.join(folder, name + ".conf")
        text, count = re.subn(r"(?m)^image = host$", f"image = {image}", read(path))
        if count != 1:
            raise SystemExit(f"{path} does not exist on the host")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def make_languages(source, target, slow, in_images=False):
    """
    The shipped languages, and copies of the compiled ones whose compilers have little time, for compile bombs.  On a
    slow machine the shipped ones have more time, because only the end of the hasty ones is asserted.
    """
    shutil.copytree(source, target)
    if in_images:
        move_into_images(target)
    for name in ("c", "cpp", "java"):
        entry = language_file.read_all(source).get(name)
        if entry is None:
            continue
        limits = {**entry["compile_limits"], "cpu_time_ms": int(HASTY_CPU_MS * slow),
                  "wall_time_ms": int(HASTY_WALL_MS * slow), "memory_bytes": 512 << 20, "processes": 64}
        hasty = {**entry, "id": f"{name}-hasty", "aliases": [], "compile_limits": limits}
        if in_images:
            hasty["image"] = IN_IMAGES[name]
        with open(os.path.join(target, name + "-hasty.conf"), "w", encoding="utf-8") as file:
            file.write(language_file.text(hasty))
    for name in ("defaults", "c", "cpp", "java") if slow > 1 else ():
        with open(os.path.join(target, name + ".conf"), "r+", encoding="utf-8") as file:
            text = re.sub(r"(?s)(?<=\[compile_limits\]\n).*?\n\n", lambda m: slower(m[0], slow), file.read())
            file.seek(0)
            file.write(text)


def slower(limits, slow):
    return re.sub(r"(?m)^(\w+_time_ms = )(\d+)$", lambda m: m[1] + str(min(int(m[2]) * slow, COMPILE_MS_MAX)), limits)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Server:
    def __init__(self, binary, folder, slow, slots, in_images=False):
        self.in_images = in_images
        self.binary, self.folder, self.slow, self.slots = binary, folder, slow, slots
        self.port = free_port()
        self.data = os.path.join(folder, "data")
        self.start_folder = os.path.join(folder, "start") # its working folder, in which nothing may appear
        self.log_path = os.path.join(folder, "log")
        self.uid_base = free_uids()
        self.process = None
        self.trees = []

    def start(self):
        os.makedirs(self.start_folder)
        languages = os.path.join(self.folder, "languages")
        make_languages(os.environ.get("EVALX_LANGUAGES", os.path.join(ROOT, "languages")), languages, self.slow,
                       self.in_images)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("EVALX_", "REDIS_"))}
        env.update(EVALX_LISTEN=f"127.0.0.1:{self.port}", EVALX_DATA=self.data, EVALX_LANGUAGES=languages,
                   EVALX_SLOTS=str(self.slots), EVALX_UID_BASE=str(self.uid_base), EVALX_DISK_BYTES=f"{DISK_MIB}m",
                   EVALX_CPU_MS_MAX=str(int(60000 * self.slow)), EVALX_WALL_MS_MAX=str(int(120000 * self.slow)),
                   EVALX_ATTACKED="secret of the service", EVALX_STORE="")
        if not self.in_images: # or a version in a request could select an image of this machine
            env["EVALX_IMAGES"] = os.path.join(self.folder, "images")
            os.mkdir(env["EVALX_IMAGES"], 0o755)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.binary, "server"], env=env, cwd=self.start_folder,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 20 * self.slow
        while not self.answers("/readyz"):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"evalx does not serve:\n{read(self.log_path)[-4000:]}")
            time.sleep(0.05)
        self.trees = self.find_trees()
        if not self.trees or not self.launchers():
            raise SystemExit("evalx has no groups or no launcher to look after")

    def stop(self):
        """Returns the exit status.  leftovers() lists what remained."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20 * self.slow)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "no end within its time"

    # ---- HTTP

    def request(self, method, path, body=None, patience=90):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience * self.slow)
        try:
            link.request(method, path, None if body is None else json.dumps(body).encode(),
                         {"Content-Type": "application/json"})
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def answers(self, path="/healthz"):
        try:
            return self.request("GET", path, patience=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def languages(self):
        """The ids of the installed languages."""
        _, body = self.request("GET", "/languages")
        return {entry["id"] for entry in json.loads(body) if entry.get("available", True)}

    def run(self, elements, path="/execute/batch?wait=60"):
        """The results, or one that describes the rejection."""
        status, body = self.request("POST", path, elements)
        end = time.monotonic() + WAIT_S * self.slow
        while status == 200 and time.monotonic() < end: # a slow machine needs more than one long poll
            answer = json.loads(body)
            if not isinstance(answer, dict) or answer["status"] in ("Completed", "Failed"):
                break
            status, body = self.request("GET", f"/submissions/{answer['token']}?wait={WAIT_S}")
        return self.results(status, body)

    @staticmethod
    def results(status, body):
        text = body.decode("utf-8", "replace")
        if status != 200:
            field = ""
            try:
                field = json.loads(text)["error"].get("field") or ""
            except (ValueError, KeyError, AttributeError):
                pass
            return [{"http": status, "body": text, "field": field}]
        answer = json.loads(text)
        if answer["status"] not in ("Completed", "Failed") or answer["results"] is None:
            ended = "cancelled" if answer.get("error") == "cancelled" else "internal_error"
            return [{"status": ended, "stdout": "", "stderr": text, "wall_time": 0, "cpu_time": 0, "memory_bytes": 0}]
        return answer["results"]

    # ---- the processes

    def owns(self, uid):
        return self.uid_base <= uid < self.uid_base + UID_SPAN

    @staticmethod
    def table():
        """Process id -> (parent, name, user) of all processes."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                text = read(f"/proc/{pid}/stat")
                uid = os.stat(f"/proc/{pid}").st_uid
            except OSError:
                continue
            name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
            found[int(pid)] = (int(rest[1]), name, uid, rest[0])
        return found

    def family(self, table=None):
        """The server's process and all below it: id -> depth."""
        table = table or self.table()
        found, grown = {self.process.pid: 0}, True
        while grown:
            grown = False
            for pid, (parent, _, _, _) in table.items():
                if parent in found and pid not in found:
                    found[pid] = found[parent] + 1
                    grown = True
        return found

    def supervisor(self):
        return next(pid for pid, depth in self.family().items() if depth == 1)

    def launchers(self):
        return [pid for pid, depth in self.family().items() if depth == 2]

    def slot_processes(self):
        return [pid for pid, depth in self.family().items() if depth == 3]

    def ready(self, table, family):
        """The processes of standby boxes: one init for each slot, and one child of it."""
        found = set()
        for slot in (pid for pid, depth in family.items() if depth == 3):
            inits = [pid for pid, (parent, _, _, state) in table.items() if parent == slot and state != "Z"]
            programs = [pid for pid, (parent, _, _, _) in table.items() if parent in inits]
            if len(inits) == 1 and len(programs) <= 1:
                found.update(inits + programs)
        return found

    def leftovers(self):
        table = self.table()
        ready = self.ready(table, self.family(table)) if self.process.poll() is None else ()
        return [(pid, name, uid) for pid, (_, name, uid, state) in table.items()
                if self.owns(uid) and state != "Z" and pid not in ready]

    # ---- groups

    def find_trees(self):
        """Folders of our groups in every hierarchy.  Their names contain the supervisor's process id."""
        supervisor = str(self.supervisor())
        found = []
        for line in read("/proc/self/mountinfo").splitlines():
            place, kind = line.split()[4], line.split(" - ")[1].split()[0]
            if kind in ("cgroup", "cgroup2"):
                for above, folders, _ in os.walk(place):
                    if above.count("/") - place.count("/") > 6:
                        folders.clear()
                    found += [os.path.join(above, name) for name in folders
                              if name.startswith("evalx-") and name.split("-")[2:3] == [supervisor]]
        return sorted(set(found))

    def groups(self):
        """All our groups with the number of their processes.  Run numbers are ignored."""
        found = []
        for tree in self.trees:
            for above, _, files in os.walk(tree):
                if "cgroup.procs" in files:
                    name = re.sub(r"/run-\d+", "/run", above)
                    try:
                        members = len(read(os.path.join(above, "cgroup.procs")).split())
                        if name.endswith("/run"): # of a run, or of a standby box
                            members = max(members, 1)
                        found.append((name, members))
                    except OSError:
                        found.append((name, "gone"))
        return tuple(sorted(found))

    @staticmethod
    def descriptors(pid):
        """How many, without those that a slot may or may not have: the input and two pipes of a prestarted
        interpreter, and the archive of its last run (sandboxd/exec_cache.h)."""
        links = []
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
            except FileNotFoundError:
                pass
        archives = sum(link.startswith(("/memfd:archive", "/memfd:kept", "/memfd:artifact")) for link in links)
        return len(links) - 3 * sum(link.startswith("/memfd:stdin") for link in links) - min(archives, 1)

    def state(self):
        """Everything that must be the same before and after an attack."""
        table = self.table()
        family = self.family(table)
        for pid in self.ready(table, family):
            del family[pid]
        found = {"our processes": tuple(sorted((pid, table[pid][1]) for pid in family if pid in table)),
                 "processes of runs": tuple(p for p in self.leftovers()), "groups": self.groups(),
                 "answering": self.answers()}
        for pid, depth in family.items():
            try:
                if depth > 0:
                    found[f"descriptors of {table[pid][1]} {pid}"] = self.descriptors(pid)
                resident = re.search(r"VmRSS:\s*(\d+)", read(f"/proc/{pid}/status"))
                found[f"resident {table[pid][1]} {pid}"] = int(resident[1]) << 10 if resident else 0
                found[f"mounts of {pid}"] = len(read(f"/proc/{pid}/mountinfo").splitlines())
            except (OSError, KeyError):
                found[f"process {pid}"] = "gone meanwhile"
        return found

    def resident(self):
        """Bytes of each kind of process, summed."""
        table, found = self.table(), {"server": 0, "launcher and slots": 0}
        family = self.family(table)
        ready = self.ready(table, family)
        for pid, depth in family.items():
            if pid in ready:
                continue
            try:
                match = re.search(r"VmRSS:\s*(\d+)", read(f"/proc/{pid}/status"))
            except OSError:
                continue
            found["server" if depth == 0 else "launcher and slots"] += int(match[1]) << 10 if match else 0
        return found
