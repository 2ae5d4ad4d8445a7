#!/usr/bin/python3
"""Makes demo/batch.json (the submission) and demo/expected (its verdicts) from demo/cases.json and its sources.
With --check it only checks that the committed files are up to date."""
import json
import os
import sys

DEMO = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo")
LANGUAGES = {".c": "c", ".cpp": "cpp", ".py": "python"}
DEFAULTS = {"timeout": 5, "memory_limit": "128m"}


def read(name):
    with open(os.path.join(DEMO, name), encoding="utf-8") as file:
        return file.read()


def element(case):
    """One element of the batch.  All fields are written out, so nothing is inherited from another program."""
    made = {"language": LANGUAGES[os.path.splitext(case["file"])[1]], "version": "latest", "code": read(case["file"]),
            "stdin": case.get("stdin", "")}
    for field, default in DEFAULTS.items():
        made[field] = case.get(field, default)
    if "expected_output" in case:
        made["expected_output"] = case["expected_output"]
    made["_name"] = case["name"]
    return made


def main(argv):
    cases = json.loads(read("cases.json"))
    wanted = {
        "batch.json": json.dumps([element(case) for case in cases], indent=1, ensure_ascii=False) + "\n",
        "expected": "".join(f"{case['verdict']} {case['file']} {case['name']}\n" for case in cases),
    }
    stale = [name for name, text in wanted.items()
             if not os.path.exists(os.path.join(DEMO, name)) or read(name) != text]
    if "--check" in argv:
        for name in stale:
            print(f"demo/{name} is out of date: run tools/make_demo.py")
        return 1 if stale else 0
    for name in stale:
        with open(os.path.join(DEMO, name), "w", encoding="utf-8") as file:
            file.write(wanted[name])
        print(f"wrote demo/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
