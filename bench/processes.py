"""processes: memory of processes, and their CPU time in nanoseconds rather than ticks."""
import os


def parents():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                found[int(pid)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    return found


def below(pid):
    """All descendants of a process."""
    found, tree = {pid}, parents()
    grown = True
    while grown:
        more = {child for child, parent in tree.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return sorted(found - {pid})


def memory(pid):
    """(RSS, PSS) in KiB; PSS counts a page that n processes share as one n-th."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            rows = dict(line.split(":", 1) for line in file.read().splitlines()[1:])
    except OSError:
        return 0, 0
    return tuple(int(rows[key].split()[0]) if key in rows else 0 for key in ("Rss", "Pss"))


def memory_of_all(pids):
    pairs = [memory(pid) for pid in pids]
    return tuple(sum(column) for column in zip(*pairs)) if pairs else (0, 0)


def cpu_s(pid):
    """Seconds of CPU time of the threads that are alive."""
    spent = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                spent += int(file.read().split()[0])
        except OSError:
            continue
    return spent / 1e9
