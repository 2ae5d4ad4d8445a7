"""canaries: the parts of the host that a hostile program must not change.  Standard library only.

There are three kinds.  Some are planted for programs to find: files open to all, a secret, sockets, shared memory; any
access is noticed.  Some exist on every host: passwd, programs, mounts, IPC, sockets.  Some belong to evalx: processes,
groups, descriptors.  On a strict host nobody else works, so every difference counts.  Elsewhere new entries of shared
folders count only if they have our users or marks.
"""
import ctypes
import hashlib
import os
import re
import secrets
import socket
import stat
import threading

SYSTEM_FILES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/ld.so.cache", "/usr/bin/env", "/usr/bin/python3",
                "/usr/bin/bash", "/usr/bin/gcc", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/bin/sh", "/etc", "/usr", "/")
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/run", "/run/lock", "/dev/shm", "/dev/mqueue", "/")
MARKS = re.compile(r"evalx-(mark|attack)|^late$|^core(\.\d+)?$|plum-jam|^mark\.d$|^slip$")
MEGABYTE = 1 << 20
# A sanitizer's allocator keeps freed memory in lists of each thread and returns it late.
RESIDENT_SLACK = (192 if "ASAN_OPTIONS" in os.environ else 64) * MEGABYTE
IPC_CREAT, IPC_RMID = 0o1000, 0


def describe(path):
    """Type, mode, owner, size, times and content of a file.  Of a folder no times, because others use it too."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return error.strerror
    found = [stat.filemode(status.st_mode), status.st_uid, status.st_gid]
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            found += [status.st_size, status.st_nlink, status.st_mtime_ns, status.st_ctime_ns, status.st_ino,
                      hashlib.sha256(file.read()).hexdigest()]
    elif stat.S_ISLNK(status.st_mode):
        found += [os.readlink(path), status.st_ctime_ns]
    return tuple(found)


class Listeners:
    """Sockets of the host that no program may reach.  Every connection is counted."""

    def __init__(self, path):
        self.visits = []
        self.abstract = f"evalx-canary-{secrets.token_hex(6)}"
        self.tcp = self.listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self.udp = self.listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self.unix = self.listen(socket.AF_UNIX, socket.SOCK_STREAM, path)
        self.hidden = self.listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + self.abstract)
        os.chmod(path, 0o777)

    def listen(self, family, kind, address):
        link = socket.socket(family, kind)
        link.bind(address)
        if kind == socket.SOCK_STREAM:
            link.listen(16)
        threading.Thread(target=self.watch, args=(link, kind), daemon=True).start()
        return link

    def watch(self, link, kind):
        while True:
            try:
                if kind == socket.SOCK_STREAM:
                    visitor, peer = link.accept()
                    visitor.close()
                else:
                    _, peer = link.recvfrom(100)
            except OSError:
                return
            self.visits.append(f"{link.getsockname()} was visited by {peer}")


class Canaries:
    def __init__(self, folder, strict):
        self.folder, self.strict = folder, strict
        self.secret = f"canary-{secrets.token_hex(12)}"
        self.libc = ctypes.CDLL(None, use_errno=True)
        os.mkdir(os.path.join(folder, "open"))
        for name, content, mode in (("secret", self.secret, 0o600), ("open/readable", self.secret, 0o644),
                                    ("open/writable", self.secret, 0o666),
                                    ("open/runnable", "#!/bin/sh\necho ESCAPED\n", 0o777)):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
            os.chmod(path, mode)
        os.chmod(os.path.join(folder, "open"), 0o777)
        self.listeners = Listeners(os.path.join(folder, "open", "socket"))
        self.shm_key = secrets.randbelow(1 << 30) + 1
        self.shm_id = self.libc.shmget(self.shm_key, 4096, IPC_CREAT | 0o666)
        self.shm_path = "/dev/shm/evalx-canary"
        with open(self.shm_path, "w", encoding="utf-8") as file:
            file.write(self.secret)
        os.chmod(self.shm_path, 0o666)

    def close(self):
        if self.shm_id >= 0:
            self.libc.shmctl(self.shm_id, IPC_RMID, None)
        os.unlink(self.shm_path)
        for link in (self.listeners.tcp, self.listeners.udp, self.listeners.unix, self.listeners.hidden):
            link.close()

    def words(self):
        return {"@CANARY@": self.folder, "@SECRET@": self.secret, "@ABSTRACT@": self.listeners.abstract,
                "@TCP_PORT@": self.listeners.tcp.getsockname()[1], "@UDP_PORT@": self.listeners.udp.getsockname()[1],
                "@SHM_KEY@": self.shm_key}

    def snapshot(self, server):
        """Named values.  compare() has the tolerances."""
        found = {"file " + path: describe(path) for path in (*SYSTEM_FILES, self.shm_path)}
        for folder in (self.folder, server.start_folder):
            for above, folders, files in os.walk(folder):
                for name in (*folders, *files):
                    path = os.path.join(above, name)
                    found["file " + path] = describe(path)
        found["visits"] = tuple(self.listeners.visits)
        found["mounts"] = read_lines("/proc/self/mountinfo")
        for kind in ("shm", "sem", "msg"):
            found["ipc " + kind] = tuple(line.split()[1] for line in read_lines(f"/proc/sysvipc/{kind}")[1:])
        for folder in SHARED_FOLDERS:
            found["entries of " + folder] = self.entries(folder, server)
        found["listening"] = self.listening(server)
        found["abstract sockets"] = self.abstract_sockets()
        found.update(server.state())
        disk = os.statvfs(server.data)
        found["free disk"] = disk.f_bavail * disk.f_frsize
        memory = dict(line.split(":") for line in read_lines("/proc/meminfo"))
        found["shared memory"] = int(memory["Shmem"].split()[0]) << 10
        found["free memory"] = int(memory["MemAvailable"].split()[0]) << 10
        return found

    def entries(self, folder, server):
        found = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            try:
                status = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            if self.strict or MARKS.search(name) or server.owns(status.st_uid):
                found.append((name, stat.filemode(status.st_mode), status.st_uid))
        return tuple(found)

    def listening(self, server):
        found = []
        for file in ("/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"):
            for line in read_lines(file)[1:]:
                fields = line.split()
                if fields[3] in ("0A", "07") and (self.strict or server.owns(int(fields[7]))):
                    found.append((file, fields[1]))
        return tuple(sorted(found))

    def abstract_sockets(self):
        names = (line.split()[-1] for line in read_lines("/proc/net/unix")[1:] if " @" in line)
        return tuple(sorted(name for name in names if self.strict or MARKS.search(name)))

    def compare(self, before, after):
        """Describes the differences."""
        slack = {"free disk": 512 if self.strict else 8192, "free memory": 512 if self.strict else 8192,
                 "shared memory": 64 if self.strict else 1024}
        problems = []
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name), after.get(name)
            if old == new or (name.startswith("resident ") and new is not None and old is not None and
                              new - old < RESIDENT_SLACK):
                continue
            if name in slack:
                lost = old - new if name.startswith("free") else new - old
                if lost > slack[name] * MEGABYTE:
                    problems.append(f"{name}: {lost // MEGABYTE} MiB are not back")
            elif isinstance(old, tuple) and isinstance(new, tuple) and not name.startswith("file "):
                gone, come = [i for i in old if i not in new], [i for i in new if i not in old]
                problems.append(f"{name}: gone {gone}, new {come}")
            else:
                problems.append(f"{name}: was {old}, is {new}")
        return problems


def read_lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return tuple(file.read().splitlines())
    except OSError:
        return ()
