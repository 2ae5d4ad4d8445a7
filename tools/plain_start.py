"""plain_start: the time of a language's hello program without evalx: its commands in its image, by posix_spawn.

The layers of the image are mounted as evalx does it (src/sandboxd/rootfs.c), in a mount namespace that ends with the
measuring process.  There is a /box and a /tmp, and the program runs as nobody.  It has no limits, no other namespaces,
no seccomp filter, no prepared files and no prestarted interpreter.
"""
import ctypes
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import language_file

RUNS = 7
PAUSE_S = 0.2
OWN = {"box": 0o777, "tmp": 0o1777, "dev": 0o755, "proc": 0o755}
NOBODY = 65534
CLONE_NEWNS = 0x00020000
SECONDS_MAX = 300


def mount(*words):
    subprocess.run(["mount", *words], check=True, stdin=subprocess.DEVNULL)


def layers_of(images, image):
    with open(os.path.join(images, image + ".layers"), encoding="utf-8") as file:
        return [os.path.join(images, ".layers", name) for name in file.read().split()]


def make_root(images, image, at):
    """The image's root in the folder `at`."""
    mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", at)
    below = "/"
    if image != "host":
        below = at + "/.image"
        os.mkdir(below)
        mount("-t", "overlay", "-o", "ro,lowerdir=" + ":".join(reversed(layers_of(images, image))), "overlay", below)
    for name in os.listdir(below):
        source, target = os.path.join(below, name), os.path.join(at, name)
        if image == "host" and name not in ("bin", "etc", "sbin", "usr") and not name.startswith("lib"):
            continue
        if name in OWN:
            continue
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            os.mkdir(target)
            mount("--bind", source, target)
    for name, mode in OWN.items():
        os.mkdir(os.path.join(at, name))
        os.chmod(os.path.join(at, name), mode)
    mount("--rbind", "/dev", at + "/dev")
    mount("-t", "proc", "proc", at + "/proc")


def enter(at):
    os.chroot(at)
    os.chdir("/box")
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def run_once(words, env, hello):
    """The seconds of one run, from posix_spawn to its end."""
    files = [(os.POSIX_SPAWN_OPEN, 0, "/tmp/stdin", os.O_RDONLY, 0),
             (os.POSIX_SPAWN_OPEN, 1, "/tmp/stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
             (os.POSIX_SPAWN_OPEN, 2, "/tmp/stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)]
    begin = time.perf_counter()
    child = os.posix_spawn(words[0], words, env, file_actions=files)
    _, status = os.waitpid(child, 0)
    took = time.perf_counter() - begin
    with open("/tmp/stdout", encoding="utf-8", errors="replace") as file:
        said = file.read()
    if status != 0 or said.split() != hello["stdout"].split():
        with open("/tmp/stderr", encoding="utf-8", errors="replace") as file:
            raise RuntimeError(f"status {status}: {said[:200]!r} {file.read()[:300]!r}")
    return took


def measure_here(language):
    """In the root: the median milliseconds of RUNS runs after one that warms the page cache."""
    hello = language["hello"]
    env = dict(line.split("=", 1) for line in language["env"])
    with open("/box/" + language["source"], "w", encoding="utf-8") as file:
        file.write(hello["code"])
    with open("/tmp/stdin", "w", encoding="utf-8") as file:
        file.write(hello["stdin"])
    compiler = language_file.command(language, "compile")
    if compiler:
        done = subprocess.run(compiler, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=SECONDS_MAX, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"compiler: status {done.returncode}: {(done.stdout + done.stderr)[-300:]!r}")
    words = language_file.command(language, "run")
    run_once(words, env, hello)
    took = []
    for _ in range(RUNS):
        time.sleep(PAUSE_S)
        took.append(run_once(words, env, hello))
    return statistics.median(took) * 1000


def child(images, language, at, answer):
    """Never returns: its mounts end with it."""
    said = {}
    try:
        signal.alarm(SECONDS_MAX)
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        mount("--make-rprivate", "/")
        make_root(images, language["image"], at)
        enter(at)
        said["ms"] = measure_here(language)
    except Exception as error:  # pylint: disable=broad-except # any error is reported to the parent
        said["error"] = f"{type(error).__name__}: {error}"
    os.write(answer, json.dumps(said).encode())
    os._exit(0)


def plain_ms(images, ident):
    """(milliseconds, None), or (None, reason)."""
    language = language_file.read(ident)
    with tempfile.TemporaryDirectory(prefix="evalx-plain-") as at:
        sys.stdout.flush()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            child(images, language, at, writing)
        os.close(writing)
        with os.fdopen(reading) as file:
            said = file.read()
        os.waitpid(pid, 0)
    answer = json.loads(said) if said else {"error": "it ended without an answer"}
    return answer.get("ms"), answer.get("error")
