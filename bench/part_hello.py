"""hello: what an interpreter's hello takes from submit to result, beside the plain command on the host.

"Alone" leaves a pause before each, on both sides, as between the submissions of an idle server; "in a row" does not.
The language files say whether an interpreter may start before its program comes.
"""
import contextlib
import os
import time

from engine import Client, right, submission
from figures import median, p99
from languages import INTERPRETERS, host_languages, program_of

PAUSE_S = 0.05
IN_A_ROW = 5


def measure(bench, report):
    installed = [row for row in INTERPRETERS if os.access(row[2], os.X_OK)]
    for row in INTERPRETERS:
        if row not in installed:
            report.note(f"{row[0]}: not installed, not measured")
    rows = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(bench.embedded("hello", {"EVALX_LANGUAGES": host_languages(bench)}))
        client = stack.enter_context(Client(server.port))
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
    right(client.run(sent)[1])
    for _ in range(bench.many(20, 100)):
        time.sleep(PAUSE_S)
        plain["alone"] += bench.floor_ms(1, binary, option, code)
        time.sleep(PAUSE_S)
        ours["alone"].append(timed(client, sent))
    for _ in range(bench.many(4, 20)):
        plain["in a row"] += bench.floor_ms(IN_A_ROW, binary, option, code)
        ours["in a row"] += [timed(client, sent) for _ in range(IN_A_ROW)]
    return [{"program": name, "when": when, "runs": len(ours[when]), "plain_ms": median(plain[when]),
             "plain_p99_ms": p99(plain[when]), "evalx_ms": median(ours[when]), "evalx_p99_ms": p99(ours[when]),
             "ratio": median(ours[when]) / median(plain[when]), "p99_ratio": p99(ours[when]) / p99(plain[when])}
            for when in ours]


def timed(client, sent):
    spent, found = client.run(sent)
    right(found)
    return spent
