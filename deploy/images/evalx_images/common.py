"""common: messages, errors and commands that run on this machine."""
import hashlib
import os
import subprocess
import time

BEGAN = time.monotonic()


class Failure(Exception):
    """The text is for the operator."""


def say(text):
    print(f"[{int(time.monotonic() - BEGAN):4d} s] {text}", flush=True)


def human(size):
    """A number of bytes as people write it: 512, 1.5K, 210M."""
    for unit in ("", "K", "M", "G"):
        if size < 1000 or unit == "G":
            return f"{size:.1f}{unit}" if unit and size < 9.95 else f"{size:.0f}{unit}"
        size /= 1024
    return ""


def output_of(*command):
    """What a command prints, or Failure with its error."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failure(f"{command[0]} is missing on this machine") from None
    if done.returncode != 0:
        raise Failure(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def remove_tree(path):
    """Removes a folder of this file system, and nothing that is mounted in it."""
    if os.path.lexists(path):
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def write_file(path, text, mode=0o644):
    """Replaces a file at once."""
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(new, mode)
    os.replace(new, path)


def read_file(path):
    """The content of a file; empty if there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def file_sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_bytes(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
