"""inside: enters a build box and starts a command there.  box.py runs this file in new namespaces.

inside.py ROOT SHARED COMMAND...    SHARED, a folder or "", appears as /srv

The new root replaces the old one, which is unmounted: nothing of this machine is left to see but the folder SHARED and
five devices.  The command is root there, without the capabilities by which root reaches the kernel and its devices.
"""
import ctypes
import os
import sys

BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18
NOSUID, NODEV, NOEXEC = 2, 4, 8
DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
CAPABILITY_DROP = 24
DROPPED = {"SYS_MODULE": 16, "SYS_RAWIO": 17, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_BOOT": 22, "MKNOD": 27}
DEVICES = ("null", "zero", "full", "random", "urandom")

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name} {arguments}: {os.strerror(number)}")


def mount(source, target, kind, flags, data=""):
    call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())


def devices(folder):
    mount("tmpfs", folder, "tmpfs", NOSUID | NOEXEC, "mode=755")
    for name in DEVICES:
        os.close(os.open(f"{folder}/{name}", os.O_CREAT, 0o666))
        mount(f"/dev/{name}", f"{folder}/{name}", "", BIND)
    os.mkdir(f"{folder}/shm", 0o1777)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{folder}/{name}")
    os.symlink("/proc/self/fd", f"{folder}/fd")


def main():
    root, shared, *command = sys.argv[1:]
    mount("", "/", "", RECURSIVE | PRIVATE)
    mount(root, root, "", BIND | RECURSIVE)
    mount("proc", f"{root}/proc", "proc", NOSUID | NODEV | NOEXEC)
    devices(f"{root}/dev")
    mount("tmpfs", f"{root}/tmp", "tmpfs", NOSUID | NODEV, "mode=1777")
    if shared:
        mount(shared, f"{root}/srv", "", BIND)
    os.chdir(root)
    call("syscall", PIVOT_ROOT[os.uname().machine], b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")
    for number in DROPPED.values():
        call("prctl", CAPABILITY_DROP, number, 0, 0, 0)
    # Python's own search for a command would import modules, which are out of sight here.
    os.execve("/usr/bin/env", ["env", *command], os.environ)


main()
