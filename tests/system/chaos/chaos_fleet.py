"""chaos_fleet: the processes of ./dev chaos: evalx and Redis, which are killed, stopped, disconnected and restarted.

A service manager restarts what has ended, as systemd would.  Every process that was ever seen is remembered with its
start time, and at the end none may be alive.  A process that ends by a signal that nobody sent is an error.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import harness  # noqa: E402
from harness import start_of  # noqa: E402

MEMORY_BYTES = 64 << 20
NETWORK = "10.213.0"        # in a network namespace of this program
HOST = f"{NETWORK}.1"


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def descendants_of(pid):
    found = []
    for child in children_of(pid):
        found += [child, *descendants_of(child)]
    return found


def age_of(pid):
    """Seconds since it was started."""
    start = start_of(pid)
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    return uptime - int(start) / os.sysconf("SC_CLK_TCK") if start is not None else uptime


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


class Link:
    """A network namespace with one veth to the bridge, held open by a sleeping process."""

    def __init__(self, number):
        self.name, self.address = f"evx{number}", f"{NETWORK}.{10 + number}"
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        ours = os.readlink("/proc/self/ns/net")
        harness.wait_until("a network namespace", lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != ours)
        self.enter = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net"]
        run("ip", "link", "add", "name", self.name, "type", "veth", "peer", "name", "eth0", "netns",
            str(self.holder.pid))
        run("ip", "link", "set", self.name, "master", "evx", "up")
        run(*self.enter, "ip", "link", "set", "lo", "up")
        run(*self.enter, "ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        run(*self.enter, "ip", "link", "set", "eth0", "up")

    def cut(self):
        """Drops packets in both directions, silently."""
        run("ip", "link", "set", self.name, "down")

    def heal(self):
        run("ip", "link", "set", self.name, "up")

    def close(self):
        self.holder.kill()
        self.holder.wait()


def make_bridge():
    """Makes the bridge, in the network namespace of this program."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "name", "evx", "type", "bridge")
    run("ip", "address", "add", f"{HOST}/24", "dev", "evx")
    run("ip", "link", "set", "evx", "up")


def user_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    return int(status["Uid"].split()[0]), int(status["Gid"].split()[0])


def limit_files(pid, soft):
    """Sets the soft limit of a running process, as its own user; "": to the hard limit."""
    try:
        uid, gid = user_of(pid)
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            hard = next(line.split()[4] for line in file if line.startswith("Max open files"))
        subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={soft or hard}:"], check=False, user=uid, group=gid,
                       extra_groups=[], stderr=subprocess.DEVNULL)
    except (OSError, StopIteration):
        pass  # it has ended


def memory_group(pid):
    """Moves the process into a new group with MEMORY_BYTES for what it allocates from now on.  None without cgroups."""
    top = "/sys/fs/cgroup/memory"
    group = f"{top}/evalx-chaos-{os.getpid()}-{pid}"
    if not os.path.exists(f"{top}/memory.limit_in_bytes"):
        return None
    try:
        os.mkdir(group)
        for name, value in (("memory.limit_in_bytes", MEMORY_BYTES), ("cgroup.procs", pid)):
            with open(f"{group}/{name}", "w", encoding="ascii") as file:
                file.write(str(value))
    except OSError:
        pass  # it has ended
    return group


def leave_group(group, pid):
    try:
        with open(os.path.join(os.path.dirname(group), "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(pid))
    except OSError:
        pass  # it has ended
    for _ in range(100):
        try:
            os.rmdir(group)
            return
        except OSError:
            time.sleep(0.05)


class Disk:
    """A small tmpfs over a folder."""

    def __init__(self, folder, mebibytes):
        self.folder = folder
        run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "evalx-chaos", folder)

    @contextlib.contextmanager
    def filled(self):
        name = harness.fill_disk(self.folder)
        try:
            yield
        finally:
            os.unlink(name)

    def empty(self):
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def close(self):
        run("umount", "--lazy", self.folder)


class Node(harness.Evalx):
    """evalx in its own network (link) or on loopback (None), kept alive by the service manager."""

    def __init__(self, name, arguments, folder, env, link=None):
        super().__init__(name, arguments, folder, env)
        self.link = link
        if link is not None:
            listen = "EVALX_WORKER_LISTEN" if "worker" in arguments else "EVALX_LISTEN"
            self.env[listen] = f"{link.address}:{self.port}"
            self.url = f"http://{link.address}:{self.port}"
            self.command = [*link.enter, *self.command]

    def slots(self):
        """The process ids of the slots."""
        launcher = self.root_side()[1]
        return children_of(launcher) if launcher else []

    def root_side(self):
        """The process ids of the supervisor and of its child, the launcher; None for one that does not exist now."""
        supervisor = next(iter(children_of(self.pid)), None)
        launcher = next(iter(children_of(supervisor)), None) if supervisor else None
        return supervisor, launcher


class ServiceManager:
    """Keeps processes running until close().  hold(process) marks one that is meant to be down."""

    def __init__(self, processes):
        self.processes = processes
        self.lock = threading.RLock()
        self.held, self.killed, self.known = set(), set(), set()
        self.told = {}              # who was sent SIGTERM: name, process id
        self.faults, self.restarts = [], 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def note(self, process):
        """The descendants of this process that are alive now."""
        if process.running():
            for pid in [process.pid, *descendants_of(process.pid)]:
                start = start_of(pid)
                if start is not None:
                    self.known.add((pid, start))
            if isinstance(process, Node):
                process.seen_pids.update([process.pid, *descendants_of(process.pid)])

    def judge(self, process):
        """Judges how a process ended: by our signal, with an exit status, or by a signal that nobody sent."""
        status = process.process.returncode
        if status < 0 and process.name not in self.killed:
            self.faults.append(f"{process.name} ended by signal {-status}:\n{process.log()[-3000:]}")
        self.killed.discard(process.name)

    def loop(self):
        while not self.ending.wait(0.1):
            for process in self.processes:
                with self.lock:
                    self.note(process)
                    if process.name in self.held or process.running():
                        continue
                    self.judge(process)
                    harness.Process.start(process)
                    self.restarts += 1
                time.sleep(0.05)

    def signal(self, process, number, whom="main"):
        """whom: main, launcher, supervisor or everything.  Returns who got it, for resume()."""
        with self.lock:
            if not process.running():
                return []
            self.note(process)
            targets = [process.pid]
            if whom == "everything":
                targets = [process.pid, *descendants_of(process.pid)]
            elif whom == "slots":
                targets = process.slots()
            elif whom != "main":
                targets = [pid for pid in [process.root_side()[whom == "launcher"]] if pid is not None]
            # SIGTERM ends a process at once if it arrives before the handler is set, or a second time.
            is_last_word = number == signal.SIGTERM and (age_of(process.pid) < 3 or self.told.get(process.name) ==
                                                         process.pid)
            if process.pid in targets and (number == signal.SIGKILL or is_last_word):
                self.killed.add(process.name)
            if number == signal.SIGTERM:
                self.told[process.name] = process.pid
            reached = [(pid, start_of(pid)) for pid in targets]
            for pid in targets:
                send(pid, number)
            return reached

    def wait_root_side(self, process, seconds=20):
        """Waits until the process runs again, with a launcher that has slots."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (process.running() and process.slots()):
            time.sleep(0.02)

    @contextlib.contextmanager
    def starved(self, process, what):
        """The main process gets no further descriptor, or at most MEMORY_BYTES more memory, which may end it."""
        if not process.running():
            yield
            return
        pid, start = process.pid, start_of(process.pid)
        if what == "files":
            limit_files(pid, 3)
        else:
            self.killed.add(process.name)
            group = memory_group(pid)
        try:
            yield
        finally:
            if what == "files" and start_of(pid) == start:
                limit_files(pid, "")
            elif what == "memory" and group:
                leave_group(group, pid)
                with self.lock:
                    if process.running() and process.pid == pid:
                        self.killed.discard(process.name)

    def resume(self, reached):
        """Resumes exactly these.  Their parents may have been killed and restarted in the meantime."""
        for pid, start in reached:
            if start is not None and start_of(pid) == start:
                send(pid, signal.SIGCONT)

    def hold(self, process):
        with self.lock:
            self.held.add(process.name)

    def release(self, process):
        with self.lock:
            if not process.running():
                self.judge(process)
                harness.Process.start(process)
            self.held.discard(process.name)

    def close(self):
        self.ending.set()
        self.thread.join()

    def alive(self):
        return [pid for pid, start in self.known if start_of(pid) == start]
