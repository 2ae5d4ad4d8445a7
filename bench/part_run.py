"""run: the time that a box adds to a program, and the time that bubblewrap and isolate add to the smallest program.

For evalx, bench_run.c alternates runs in the sandbox with posix_spawn.  The other sandboxes are commands, so floor.c
starts them, alternating with the program alone.  isolate needs three commands, which one sh starts.  It is compared
with the same sh that starts the program three times, so neither sh nor the start of a process counts against isolate.
"""
import json
import os
import shlex
import shutil
import subprocess

from engine import write
from figures import median, p99

CPP = "#include <iostream>\nint main()\n{\n    std::cout << \"hello\" << std::endl;\n}\n"
JAVA = "public class Main { public static void main(String[] args) { System.out.println(\"hello\"); } }\n"
INTERPRETED = ("Java", "Python", "Node", "Ruby", "PHP", "Perl")
ISOLATE_BOX = "--box-id=900"


def programs(bench):
    """The arguments TINY STATIC CPP CLASS of bench_run, as far as compilers are installed."""
    names = [f"tests/sandbox/bench_{name}" for name in ("run", "tiny", "empty")]
    command = bench.target(*names)
    command.append(bench.compile("g++", write(os.path.join(bench.folder, "hello.cpp"), CPP),
                                 os.path.join(bench.folder, "hello-cpp"), "-std=gnu++20"))
    if shutil.which("javac"):
        folder = os.path.join(bench.folder, "java")
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["javac", "-d", folder, write(os.path.join(folder, "Main.java"), JAVA)], check=True)
        command.append(os.path.join(folder, "Main.class"))
    return command


def others(tiny):
    """name -> (its command, the command to subtract), for each installed sandbox."""
    found = {}
    if shutil.which("bwrap"):
        found["bubblewrap"] = ([shutil.which("bwrap"), "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc",
                                "--dev", "/dev", tiny], [tiny])
    if shutil.which("isolate"):
        program, isolate = shlex.quote(tiny), shlex.quote(shutil.which("isolate")) + " " + ISOLATE_BOX
        folder = shlex.quote(os.path.dirname(tiny))
        steps = [f"{isolate} --init", f"{isolate} --dir={folder} --run -- {program}", f"{isolate} --cleanup"]
        found["isolate"] = tuple(["/bin/sh", "-c", "exec >/dev/null 2>&1; " + " && ".join(three)]
                                 for three in (steps, [program] * 3))
    return found


def add_other(bench, samples, pair, count):
    """Program and sandbox in turn, five at a time."""
    for _ in range(max(1, count // 5)):
        for key, argv in zip(("with", "without"), pair):
            samples[key] += bench.floor_ms(5, *argv)


def sample(bench):
    run, tiny, static, *more = programs(bench)
    ours, theirs = {}, {}
    for _ in range(bench.many(2, 5)):
        command = [run, "--rounds", str(bench.many(60, 100)), "--json", tiny, static, *more]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for line in out.splitlines():
            row = json.loads(line)
            kept = ours.setdefault(row.pop("program"), {key: [] for key in row})
            for key, values in row.items():
                kept[key] += values
        for program, label in ((tiny, "tiny static"), (static, "static C")):
            for name, pair in others(program).items():
                add_other(bench, theirs.setdefault((name, label), {"with": [], "without": []}), pair,
                          bench.many(10, 20))
    return ours, theirs


def measure(bench, report):
    ours, theirs = sample(bench)
    rows = []
    for name, kept in ours.items():
        spawn, box = kept["spawn_us"], kept["box_us"]
        rows.append({"program": name, "runs": len(box), "spawn_us": median(spawn), "spawn_p99_us": p99(spawn),
                     "box_us": median(box), "box_p99_us": p99(box), "added_us": median(box) - median(spawn),
                     "ratio": median(box) / median(spawn), "p99_ratio": p99(box) / p99(spawn)})
    report.table("a box beside posix_spawn", rows)
    added = {row["program"]: row["added_us"] for row in rows}
    compared = []
    for (name, label), kept in theirs.items():
        base = median(kept["without"])
        more = (median(kept["with"]) - base) * 1000
        compared.append({"sandbox": name, "program": label, "runs": len(kept["with"]), "added_us": more,
                         "added_p99_us": (p99(kept["with"]) - base) * 1000,
                         "times_ours": more / max(1.0, added[label])})
    if compared:
        report.table("what other sandboxes add to the same program", compared)
    for name in ("bubblewrap", "isolate"):
        if not any(row["sandbox"] == name for row in compared):
            report.note(f"{name}: not installed, not compared")
    draw(report, rows, compared)


def draw(report, rows, compared):
    bars = [(row["program"], "evalx", row["added_us"]) for row in rows if row["program"] not in INTERPRETED]
    bars += [(f"{row['sandbox']}, {row['program']}", "other", row["added_us"]) for row in compared]
    report.panel("added to a run over posix_spawn", "us", bars, aim=150)
    bars = []
    for row in rows:
        if row["program"] in INTERPRETED:
            bars += [(row["program"] + ", posix_spawn", "floor", row["spawn_us"] / 1000, row["spawn_p99_us"] / 1000),
                     (row["program"] + ", box", "evalx", row["box_us"] / 1000, row["box_p99_us"] / 1000)]
    report.panel("interpreters: a box beside posix_spawn", "ms", bars)
    for row in rows:
        if row["program"] in ("tiny static", "static C"):
            report.claim(f"a box adds to {row['program']}", row["added_us"], "us", at_most=150)
    for row in compared:
        report.claim(f"{row['sandbox']} adds to {row['program']}, times ours", row["times_ours"], "times",
                     at_least=20)
