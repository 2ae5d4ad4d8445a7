"""hello: the time from submit to result of a hello program in an interpreter, compared with the command on the host.

"Alone" leaves a pause before each run, on both sides, as on an idle server; "in a row" does not.  The language files
define whether an interpreter may be prestarted.  `run_ms` is the time of the run itself, as evalx reports it.  The
store is Redis, which does not wait for the disk; part_http.py compares the stores.
"""
import contextlib
import os
import time

from engine import Client, right, submission
from figures import median, p99
from languages import INTERPRETERS, host_languages, prepared, program_of

PAUSE_S = 0.05
IN_A_ROW = 5


def measure(bench, report):
    installed = [row for row in INTERPRETERS if os.access(row[2], os.X_OK)]
    for row in INTERPRETERS:
        if row not in installed:
            report.note(f"{row[0]}: not installed, not measured")
    rows = []
    with contextlib.ExitStack() as stack:
        languages = host_languages(bench)
        settings = {"EVALX_LANGUAGES": languages,
                    "EVALX_IMAGES": prepared(bench, [row[1] for row in installed if row[1] == "ruby"], languages)}
        fleet = stack.enter_context(bench.fleet("hello", settings))
        client = stack.enter_context(Client(fleet.api.port))
        for row in installed:
            rows += compare(bench, client, row)
    report.table("hello: submit to result beside the plain command on the host", rows)
    bars = []
    for row in rows:
        if row["when"] == "alone":
            bars += [(f"{row['program']}, plain", "floor", row["plain_ms"], row["plain_p99_ms"]),
                     (f"{row['program']}, evalx", "evalx", row["evalx_ms"], row["evalx_p99_ms"])]
            report.claim(f"{row['program']} hello, part of the plain command's time", row["ratio"], "ratio",
                         at_most=1)
    report.panel("hello: submit to result beside the plain command", "ms", bars)


def compare(bench, client, row):
    name, language, binary, option, code = row
    sent = submission(language, program_of(name, code))
    plain = {"alone": [], "in a row": []}
    ours = {"alone": [], "in a row": []}
    timed(client, sent)
    for _ in range(bench.many(20, 100)):
        time.sleep(PAUSE_S)
        plain["alone"] += bench.floor_ms(1, binary, option, code)
        time.sleep(PAUSE_S)
        ours["alone"].append(timed(client, sent))
    for _ in range(bench.many(4, 20)):
        plain["in a row"] += bench.floor_ms(IN_A_ROW, binary, option, code)
        ours["in a row"] += [timed(client, sent) for _ in range(IN_A_ROW)]
    return [{"program": name, "when": when, "runs": len(ours[when]), "plain_ms": median(plain[when]),
             "plain_p99_ms": p99(plain[when]), **figures_of(ours[when], plain[when])}
            for when in ours]


def figures_of(pairs, plain):
    spent, run = zip(*pairs)
    return {"evalx_ms": median(spent), "evalx_p99_ms": p99(spent), "run_ms": median(run),
            "ratio": median(spent) / median(plain), "p99_ratio": p99(spent) / p99(plain)}


def timed(client, sent):
    """Milliseconds from submit to result, and of the run itself."""
    spent, found = client.run(sent)
    return spent, right(found)[0]["wall_time"] * 1000
