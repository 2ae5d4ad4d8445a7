"""bench/run.py: a part runs, stores its figures as JSON and draws them.  The values themselves are not asserted."""
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest

import harness

BENCH = os.path.join(harness.ROOT, "bench")
sys.path.append(BENCH)


def run(binary, *words):
    return subprocess.run([sys.executable, os.path.join(BENCH, "run.py"), "--build", os.path.dirname(binary), *words],
                          capture_output=True, text=True, check=False, timeout=120 * harness.SLOWNESS)


def test_a_part_keeps_and_draws_its_figures(evalx_binary, folder):
    if shutil.which("redis-server") is None or shutil.which("gcc") is None:
        pytest.skip("redis-server or gcc is not installed")
    paths = [os.path.join(folder, name) for name in ("bench.json", "bench.svg")]
    done = run(evalx_binary, "http", "--quick", "--json", paths[0], "--picture", paths[1])
    assert done.returncode == 0, done.stdout + done.stderr
    with open(paths[0], encoding="utf-8") as file:
        kept = json.load(file)
    assert {"processor", "cores", "kernel", "revision", "quick", "realtime", "begun"} <= set(kept["machine"])
    part = kept["parts"]["http"]
    assert {"tables", "claims", "panels", "notes", "load", "seconds"} <= set(part)
    rows = part["tables"]["submit to result"]
    assert len(rows) == 4 and {row["store"].split()[0] for row in rows} == {"SQLite", "Redis"}
    assert all(row["submit_to_result_ms"] >= row["run_ms"] > 0 and row["p99_ms"] > 0 for row in rows)
    assert all(claim["figure"] in done.stdout for claim in part["claims"]) and len(part["claims"]) == 4
    drawn = xml.etree.ElementTree.parse(paths[1]).getroot()
    assert drawn.tag.endswith("svg") and any("submit to result" in (text.text or "") for text in drawn.iter())


def test_an_unknown_part_is_refused(evalx_binary):
    done = run(evalx_binary, "nothing")
    assert done.returncode == 2 and "no part called 'nothing'" in done.stderr


def test_the_arithmetic():
    import figures

    assert figures.p99(list(range(1, 101))) == 99 and figures.p99([5]) == 5 and figures.p99([1, 2, 3]) == 3
    assert figures.tenth(list(range(100))) == 10
    report = figures.Report("x")
    report.claim("too slow", 2, "ms", at_most=1)
    report.claim("fast enough", 2, "times", at_least=2)
    report.claim("no aim", 2, "ms")
    assert [claim["reached"] for claim in report.claims] == ["NO", "yes", ""]
